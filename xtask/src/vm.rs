//! Runs the privileged tests inside virtual machines: static test binaries in an initramfs, on
//! kernels that have what the host's lacks.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::kernels::{self, Kernel};
use crate::run;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const INIT: &str = include_str!("init.sh");
/// Seconds that a machine may take; boots take 3 to 7, emulated tests several times the host's.
const TIMEOUT: &str = "600";

/// Packages whose tests need a kernel.
const TESTED: [&str; 4] = [
    "purebpf",
    "purebpf-handles",
    "purebpf-loader",
    "purebpf-cli",
];

/// Boots each kernel and runs the tests in it; any failure is an error, once all have run.
pub(crate) fn run(versions: &[String], only: Option<&str>) -> anyhow::Result<()> {
    run::need(
        &["qemu-system-x86_64", "/bin/busybox", "cpio"],
        &["qemu-system-x86", "busybox-static", "cpio"],
    )?;
    let kernels = kernels::fetch(versions)?;
    let binaries = build()?;
    let mut failed = Vec::new();
    for kernel in &kernels {
        let initramfs = initramfs(kernel, &binaries, only)?;
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

#[expect(clippy::print_stdout, reason = "the user of a task reads it")]
fn say(line: &str) {
    println!("{line}");
}

/// Builds the test binaries and the program, static, and returns their paths.
fn build() -> anyhow::Result<Vec<PathBuf>> {
    let cargo = |arguments: &[&str]| -> anyhow::Result<Vec<PathBuf>> {
        let mut command = run::command("cargo");
        command
            .args(arguments)
            .args([
                "--target",
                TARGET,
                "--target-dir",
                "target/vm",
                "--message-format=json",
            ])
            .args(TESTED.iter().flat_map(|name| ["-p", name]))
            .env("RUSTFLAGS", "-C target-feature=+crt-static -C debuginfo=0");
        let text = run::output(&mut command)?;
        let messages = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let paths = messages.filter_map(|message: serde_json::Value| {
            let is =
                |pointer, value: &str| message.pointer(pointer).is_some_and(|found| found == value);
            let is_test = message.pointer("/profile/test").and_then(|v| v.as_bool()) == Some(true);
            let is_program = is("/target/name", "purebpf") && is("/target/kind/0", "bin");
            let path = message.get("executable")?.as_str()?;
            (is_test || is_program).then(|| PathBuf::from(path))
        });
        Ok(paths.collect())
    };
    let mut binaries = cargo(&["test", "--no-run", "--profile", "vm"])?;
    binaries.extend(cargo(&["build", "--profile", "vm"])?);
    binaries.sort();
    binaries.dedup();
    Ok(binaries)
}

fn initramfs(kernel: &Kernel, binaries: &[PathBuf], only: Option<&str>) -> anyhow::Result<PathBuf> {
    let dir = run::cache("vm/initramfs")?;
    fs::remove_dir_all(&dir)?;
    for folder in [
        "bin",
        "proc",
        "sys",
        "dev",
        "tmp",
        "boot",
        "tests",
        "work/tests/bpf",
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
    for entry in fs::read_dir(run::root().join("tests/bpf"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "o") {
            let name = path.file_name().unwrap_or_default();
            fs::copy(&path, dir.join("work/tests/bpf").join(name))?;
        }
    }
    for binary in binaries {
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        let is_program = name == "purebpf";
        if is_program || only.is_none_or(|only| name.contains(only)) {
            let folder = if is_program { "bin" } else { "tests" };
            fs::copy(binary, dir.join(folder).join(&*name))?;
        }
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
            Some(code) => status = Some(format!("{code} test programs failed")),
            None => say(&format!("[{}] {line}", kernel.version)),
        }
    }
    child.wait().context("waiting for the machine")?;
    Ok(status)
}
