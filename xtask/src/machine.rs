//! A virtual machine: a kernel, an initramfs with static programs and a job in it, and what the job
//! said when the machine had ended.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::kernels::{self, Kernel};
use crate::{modules, run};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const INIT: &str = include_str!("init.sh");
/// Seconds that a machine may take; boots take 3 to 7, emulated tests several times the host's.
const TIMEOUT: &str = "900";

/// What is done in a machine.
pub(crate) struct Job {
    /// Shell commands, which count into `failed` what went wrong.
    pub(crate) script: String,
    /// Programs, each with the folder it is put into.
    pub(crate) programs: Vec<(&'static str, PathBuf)>,
    /// Objects besides the fixtures, for `objects`.
    pub(crate) objects: Option<PathBuf>,
}

/// Boots each kernel and does the job in it; any failure is an error, once all have run.
pub(crate) fn run_in_each(versions: &[String], job: &Job) -> anyhow::Result<()> {
    run::need(
        &["qemu-system-x86_64", "/bin/busybox", "cpio", "depmod", "xz"],
        &[
            "qemu-system-x86",
            "busybox-static",
            "cpio",
            "kmod",
            "xz-utils",
        ],
    )?;
    let mut failed = Vec::new();
    for kernel in &kernels::fetch(versions)? {
        let initramfs = initramfs(kernel, job)?;
        let status = boot(kernel, &initramfs)?;
        let line = format!(
            "kernel {}: {}",
            kernel.version,
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

/// Runs cargo so that what it builds is static, and returns what it says of each executable.
pub(crate) fn build(arguments: &[&str]) -> anyhow::Result<Vec<serde_json::Value>> {
    let mut command = run::command("cargo");
    command
        .args(arguments)
        .args(["--target", TARGET, "--target-dir", "target/vm"])
        .arg("--message-format=json")
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C debuginfo=0");
    let text = run::output(&mut command)?;
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|message: &serde_json::Value| executable(message).is_some());
    Ok(messages.collect())
}

/// The path of the executable that a message of cargo's is about.
pub(crate) fn executable(message: &serde_json::Value) -> Option<PathBuf> {
    message.get("executable")?.as_str().map(PathBuf::from)
}

#[expect(clippy::print_stdout, reason = "the user of a task reads it")]
fn say(line: &str) {
    println!("{line}");
}

fn initramfs(kernel: &Kernel, job: &Job) -> anyhow::Result<PathBuf> {
    let dir = run::cache("vm/initramfs")?;
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
    fs::copy("/bin/busybox", dir.join("bin/busybox"))?;
    let init = dir.join("init");
    fs::write(&init, INIT)?;
    run::check(run::command("chmod").arg("+x").arg(&init))?;
    fs::write(dir.join("job"), &job.script)?;
    modules::copy(kernel, &dir.join("modules"))?;
    let folders = ["tests/bpf", "tests/host"].map(|name| (run::root().join(name), name));
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
    let packed = dir.with_extension("cpio");
    pack(&dir, &packed)?;
    Ok(packed)
}

fn pack(dir: &Path, packed: &Path) -> anyhow::Result<()> {
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

/// Boots and shows the console; returns what went wrong, if anything did.
fn boot(kernel: &Kernel, initramfs: &Path) -> anyhow::Result<Option<String>> {
    say(&format!("== kernel {} ==", kernel.version));
    let mut child = run::command("timeout")
        .arg(TIMEOUT)
        .arg("qemu-system-x86_64")
        .args([
            "-accel", "tcg", "-machine", "pc", "-cpu", "max", "-smp", "1", "-m", "1024",
        ])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .arg("-append")
        .arg("console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off tsc=reliable lsm=lockdown,yama,bpf")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting qemu-system-x86_64")?;
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
            None => say(&format!("[{}] {line}", kernel.version)),
        }
    }
    child.wait().context("waiting for the machine")?;
    Ok(status)
}
