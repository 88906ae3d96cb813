//! How large a program is that loads an object and attaches it, and does nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// For a static program; the target is named so that the flag is not for build scripts as well.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const STATIC: &str = "-C target-feature=+crt-static";

/// The programs are members of this workspace, in `size/`.
const LOADERS: [&str; 4] = ["nobody", "libbpf-rs", "aya", "purebpf"];

/// Builds each program, dynamic and static, and prints the sizes.
pub fn run() -> anyhow::Result<()> {
    println!("loader      dynamic, bytes  static, bytes");
    for loader in LOADERS {
        let dynamic = size(loader, false)?;
        let all = size(loader, true)?;
        println!("{loader:<10}  {dynamic:>14}  {all:>13}");
    }
    Ok(())
}

fn size(loader: &str, all: bool) -> anyhow::Result<u64> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| bench.join("target"));
    let package = format!("size-{loader}");
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(bench)
        .args(["build", "--quiet", "--profile", "size", "-p", &package]);
    let mut folder = target.clone();
    if all {
        cargo.env("RUSTFLAGS", STATIC).args(["--target", TARGET]);
        folder.push(TARGET);
    }
    let status = cargo.status().context("starting cargo")?;
    ensure!(status.success(), "building {package} ended with {status}");
    let program = folder.join("size").join(&package);
    let data = std::fs::metadata(&program).with_context(|| program.display().to_string())?;
    Ok(data.len())
}
