//! A virtual machine: a kernel, an initramfs with static programs and a job in it, and what the job
//! said when the machine had ended.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::arch::Arch;
use crate::kernels::{self, Kernel};
use crate::{modules, run};

const INIT: &str = include_str!("init.sh");
/// Seconds that a machine may take; boots take 3 to 7, emulated tests several times the host's.
const TIMEOUT: &str = "1800";

/// What is done in a machine.
pub(crate) struct Job {
    /// Shell commands, which count into `failed` what went wrong.
    pub(crate) script: String,
    /// Programs, each with the folder it is put into.
    pub(crate) programs: Vec<(&'static str, PathBuf)>,
    /// The folder of compiled fixtures.
    pub(crate) fixtures: PathBuf,
    /// Objects besides the fixtures, for `objects`.
    pub(crate) objects: Option<PathBuf>,
}

/// Boots each kernel and does the job in it; any failure is an error, once all have run.
pub(crate) fn run_in_each(
    arch: &'static Arch,
    versions: &[String],
    job: &Job,
) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for kernel in &fetch(arch, versions)? {
        let status = run_in(kernel, job, |line| {
            say(&format!("[{}] {line}", kernel.label));
        })?;
        let line = format!(
            "kernel {}: {}",
            kernel.label,
            status.as_deref().unwrap_or("ok")
        );
        say(&line);
        if status.is_some() {
            failed.push(line);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("{}", failed.join("; ")),
    }
}

/// The kernels of these versions, and all that it takes to boot them.
pub(crate) fn fetch(arch: &'static Arch, versions: &[String]) -> anyhow::Result<Vec<Kernel>> {
    let (emulator, package, _) = arch.system;
    run::need(
        &[emulator, "/bin/busybox", "cpio", "depmod", "xz"],
        &[package, "busybox-static", "cpio", "kmod", "xz-utils"],
    )?;
    kernels::fetch(arch, versions)
}

/// Boots a kernel, does the job in it and hands out the lines of its console; what went wrong, if
/// anything did.
pub(crate) fn run_in(
    kernel: &Kernel,
    job: &Job,
    each: impl FnMut(&str),
) -> anyhow::Result<Option<String>> {
    let initramfs = initramfs(kernel, job)?;
    say(&format!("== kernel {} ==", kernel.label));
    boot(kernel, &initramfs, each)
}

/// Runs cargo so that what it builds is static, and returns what it says of each executable.
pub(crate) fn build(
    arch: &Arch,
    subcommand: &str,
    arguments: &[&str],
) -> anyhow::Result<Vec<serde_json::Value>> {
    let mut command = arch.cargo(subcommand)?;
    if arch.cross.is_none() {
        command
            .args(["--target-dir", "target/vm"])
            .env("RUSTFLAGS", "-C target-feature=+crt-static -C debuginfo=0");
    }
    command.args(arguments).arg("--message-format=json");
    Ok(executables(&run::output(&mut command)?))
}

/// What cargo says of each executable among its messages.
pub(crate) fn executables(messages: &str) -> Vec<serde_json::Value> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|message: &serde_json::Value| executable(message).is_some())
        .collect()
}

/// The path of the executable that a message of cargo's is about.
pub(crate) fn executable(message: &serde_json::Value) -> Option<PathBuf> {
    message.get("executable")?.as_str().map(PathBuf::from)
}

#[expect(clippy::print_stdout, reason = "the user of a task reads it")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

fn initramfs(kernel: &Kernel, job: &Job) -> anyhow::Result<PathBuf> {
    let dir = run::cache(&format!("vm/initramfs-{}", kernel.label))?;
    fs::remove_dir_all(&dir)?;
    for folder in [
        "bin",
        "proc",
        "sys",
        "dev",
        "tmp",
        "boot",
        "modules",
        "tests",
        "work/tests/bpf",
        "work/tests/host",
        "work/objects",
    ] {
        fs::create_dir_all(dir.join(folder))?;
    }
    fs::copy(
        &kernel.config,
        dir.join(format!("boot/config-{}", kernel.release)),
    )?;
    fs::copy(&kernel.shell, dir.join("bin/busybox"))?;
    let init = dir.join("init");
    fs::write(&init, INIT)?;
    run::check(run::command("chmod").arg("+x").arg(&init))?;
    fs::write(dir.join("job"), &job.script)?;
    modules::copy(kernel, &dir.join("modules"))?;
    let folders = [
        (job.fixtures.clone(), "tests/bpf"),
        (run::root().join("tests/host"), "tests/host"),
    ];
    let objects = job.objects.iter().map(|path| (path.clone(), "objects"));
    for (from, to) in folders.into_iter().chain(objects) {
        for entry in fs::read_dir(from)? {
            let path = entry?.path();
            let ending = path.extension();
            if ending.is_none_or(|ending| ending != "c" && ending != "h") {
                let name = path.file_name().unwrap_or_default();
                fs::copy(&path, dir.join("work").join(to).join(name))?;
            }
        }
    }
    for (folder, program) in &job.programs {
        let name = program.file_name().unwrap_or_default();
        fs::copy(program, dir.join(folder).join(name))?;
    }
    let packed = run::cache("vm")?.join(format!("initramfs-{}.cpio", kernel.label));
    pack(&dir, &packed)?;
    fs::remove_dir_all(&dir)?;
    Ok(packed)
}

/// Makes an initramfs of a folder.
pub(crate) fn pack(dir: &Path, packed: &Path) -> anyhow::Result<()> {
    let mut list = run::command("find")
        .current_dir(dir)
        .args([".", "-print0"])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting find")?;
    let names = list.stdout.take().context("find has no output")?;
    let archive = fs::File::create(packed)?;
    run::check(
        run::command("cpio")
            .current_dir(dir)
            .args(["--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"])
            .stdin(names)
            .stdout(archive),
    )?;
    list.wait().context("waiting for find")?;
    Ok(())
}

/// Boots and hands out the lines of the console; what went wrong, if anything did.
pub(crate) fn boot(
    kernel: &Kernel,
    initramfs: &Path,
    mut each: impl FnMut(&str),
) -> anyhow::Result<Option<String>> {
    let (emulator, _, options) = kernel.arch.system;
    let console = kernel.arch.console;
    let mut child = run::command("timeout")
        .arg(TIMEOUT)
        .arg(emulator)
        .args(["-accel", "tcg", "-smp", "1", "-m", "1024"])
        .args(options)
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-append")
        // A kernel that fails ends the machine, which would be silent until its time is over otherwise.
        .arg(format!(
            "console={console} quiet loglevel=3 panic=-1 oops=panic mitigations=off lsm=lockdown,yama,bpf"
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {emulator}"))?;
    let console = child.stdout.take().context("the machine has no console")?;
    let mut status = Some("the machine ended before its tests did".to_owned());
    for line in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        match line
            .strip_prefix("@@EXIT ")
            .and_then(|rest| rest.strip_suffix("@@"))
        {
            Some("0") => status = None,
            Some(code) => status = Some(format!("{code} failed")),
            None => each(&line),
        }
    }
    child.wait().context("waiting for the machine")?;
    Ok(status)
}
