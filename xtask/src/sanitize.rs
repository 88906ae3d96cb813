//! Runs the soak under a sanitizer, which the compiler has but hides.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::run;

const SANITIZERS: [&str; 2] = ["address", "thread"];

/// Builds the soak with the sanitizer and runs it; what it finds is a failure.
pub(crate) fn run(sanitizer: &str) -> anyhow::Result<()> {
    ensure!(
        SANITIZERS.contains(&sanitizer),
        "unknown sanitizer; there are {}",
        SANITIZERS.join(", ")
    );
    let sysroot = run::output(run::command("rustc").args(["--print", "sysroot"]))?;
    let version = run::output(run::command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut flags = format!("-Zsanitizer={sanitizer}");
    let mut command = run::command("cargo");
    command
        .args(["test", "--locked", "-p", "purebpf", "--test", "soak"])
        // Of the host too, so that build scripts and macros do without.
        .args(["--target", host.context("rustc names no host")?])
        .args(["--target-dir", &format!("target/{sanitizer}")])
        .env("RUSTC_BOOTSTRAP", "1");
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    if library.exists() {
        command.arg("-Zbuild-std");
    } else {
        // Without its source the standard library is used as it is, unchecked.
        flags.push_str(" -Cunsafe-allow-abi-mismatch=sanitizer");
    }
    let known = run::root().join("xtask/src/thread.supp");
    command
        .args(["--", "--nocapture"])
        .env("TSAN_OPTIONS", format!("suppressions={}", known.display()))
        .env("RUSTFLAGS", flags);
    run::check(&mut command)
}
