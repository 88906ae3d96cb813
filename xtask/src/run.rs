//! How other programs are started, and installed where they are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where tasks keep what can be made again.
pub(crate) fn cache(name: &str) -> anyhow::Result<PathBuf> {
    let dir = root().join("target").join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir)
}

/// A command that runs in the folder of the workspace.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs a command to its end; its failure is an error.
pub(crate) fn check(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("starting {name}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns what it prints.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {name}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .any(|dir| dir.join(program).exists())
}

/// Installs Debian packages unless the programs or files that they bring are there.
pub(crate) fn need(programs: &[&str], packages: &[&str]) -> anyhow::Result<()> {
    let is_there = |what: &&str| match what.starts_with('/') {
        true => Path::new(what).exists(),
        false => is_installed(what),
    };
    if programs.iter().all(is_there) {
        return Ok(());
    }
    check(command("apt-get").args(["update", "-qq"]))?;
    check(
        command("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(packages)
            .stdout(Stdio::null()),
    )
    .with_context(|| format!("installing {}", packages.join(", ")))
}

/// Installs a subcommand of cargo unless it is there.
pub(crate) fn tool(name: &str) -> anyhow::Result<()> {
    if is_installed(name) {
        return Ok(());
    }
    check(command("cargo").args(["install", "--quiet", "--locked", name]))
}

/// Installs the standard library of a target unless it is there.
pub(crate) fn target(triple: &str) -> anyhow::Result<()> {
    let folder = output(command("rustc").args(["--print", "target-libdir", "--target", triple]))?;
    if Path::new(folder.trim()).exists() {
        return Ok(());
    }
    check(command("rustup").args(["target", "add", triple]))
}

/// Fetches the source of the standard library unless it is there.
pub(crate) fn standard_library_source() -> anyhow::Result<()> {
    let sysroot = output(command("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    if library.exists() {
        return Ok(());
    }
    check(command("rustup").args(["component", "add", "rust-src"]))
}
