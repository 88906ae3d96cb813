//! The program and the examples as static binaries, shown to need nothing: they run in a machine that
//! has no other file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use crate::arch::HOST;
use crate::{machine, run};

pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// Packages that are built, and which of their targets.
const BUILDS: [&[&str]; 3] = [
    &["-p", "purebpf-cli"],
    &["-p", "purebpf", "--examples"],
    &["-p", "xtask", "--bin", "first-process"],
];

/// What is run in the machine.
const JOB: &str = "\
/purebpf --version
/purebpf plan /processes.bpf.o --json
/purebpf load /processes.bpf.o
/purebpf run --count 5 --json
/records /processes.bpf.o processes 5
/shared_map
/plan /processes.bpf.o /sys/kernel/btf/vmlinux
";

/// What the program may have; it is meant to be carried about.
const LIMIT: u64 = 4_000_000;

/// Builds the binaries, says their sizes, and runs them on this kernel.
pub(crate) fn run(version: &str) -> anyhow::Result<()> {
    run::target(TARGET)?;
    run::need(&["readelf"], &["binutils"])?;
    let kernels = machine::fetch(HOST, &[version.to_owned()])?;
    let mut programs = Vec::new();
    for what in BUILDS {
        programs.extend(build(what)?);
    }
    for program in &programs {
        let bytes = fs::metadata(program)?.len();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        machine::say(&format!("{name}: {bytes} bytes"));
        ensure!(is_static(program)?, "{name} asks for an interpreter");
        ensure!(bytes < LIMIT, "{name} has more than {LIMIT} bytes");
    }
    let packed = initramfs(&programs)?;
    for kernel in &kernels {
        let status = machine::boot(kernel, &packed, machine::say)?;
        if let Some(status) = status {
            bail!("kernel {version}: {status}");
        }
    }
    Ok(())
}

fn build(what: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut command = run::command("cargo");
    command
        .args(["build", "--release", "--locked", "--target", TARGET])
        .arg("--message-format=json")
        .args(what);
    let messages = machine::executables(&run::output(&mut command)?);
    Ok(messages.iter().filter_map(machine::executable).collect())
}

/// Whether the kernel can start it without a linker at run time (no PT_INTERP).
fn is_static(program: &Path) -> anyhow::Result<bool> {
    let listing = run::output(run::command("readelf").arg("-lW").arg(program))?;
    Ok(!listing.contains("INTERP"))
}

/// The binaries, an object, and nothing else.
fn initramfs(programs: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let dir = run::cache("musl/initramfs")?;
    fs::remove_dir_all(&dir)?;
    fs::create_dir_all(&dir)?;
    for program in programs {
        let name = program.file_name().unwrap_or_default();
        let name = if name == "first-process" {
            "init".as_ref()
        } else {
            name
        };
        fs::copy(program, dir.join(name))?;
    }
    let object = "processes.bpf.o";
    fs::copy(run::root().join("cli/bpf").join(object), dir.join(object))?;
    fs::write(dir.join("job"), JOB)?;
    let packed = dir.with_extension("cpio");
    machine::pack(&dir, &packed)?;
    Ok(packed)
}
