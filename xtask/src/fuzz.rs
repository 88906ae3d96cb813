//! Runs the fuzz targets one after the other, each from the fixtures and what earlier runs found.

use std::path::Path;

use anyhow::bail;

use crate::run;

/// What an input may take: bytes, seconds, megabytes.
const LIMITS: [&str; 3] = ["-max_len=65536", "-timeout=10", "-rss_limit_mb=1024"];

/// Fuzzes each target (or only the one named) for so many seconds; a finding is an error.
pub(crate) fn run(seconds: u32, only: Option<&str>) -> anyhow::Result<()> {
    // The fuzzer itself is C++.
    run::need(&["g++"], &["g++"])?;
    let has_cargo_fuzz = run::output(cargo().args(["fuzz", "--version"])).is_ok();
    if !has_cargo_fuzz {
        run::check(cargo().args(["install", "--locked", "cargo-fuzz"]))?;
    }
    run::check(cargo().args(["run", "--quiet", "--example", "seeds", "corpus"]))?;
    let targets = run::output(cargo().args(["fuzz", "list", "--fuzz-dir=."]))?;
    let mut ran = 0u32;
    let mut found = Vec::new();
    for target in targets
        .lines()
        .filter(|name| only.is_none_or(|only| only == *name))
    {
        ran = ran.saturating_add(1);
        if let Err(error) = fuzz(target, seconds) {
            found.push(format!("{target}: {error}"));
        }
    }
    match (ran, found.is_empty()) {
        (0, _) => bail!("no such target; there are {}", targets.replace('\n', " ")),
        (_, true) => Ok(()),
        (_, false) => bail!(
            "inputs that fail are in fuzz/artifacts\n{}",
            found.join("\n")
        ),
    }
}

fn fuzz(target: &str, seconds: u32) -> anyhow::Result<()> {
    let folder = run::root().join("fuzz");
    let corpus = format!("corpus/{target}");
    std::fs::create_dir_all(folder.join(&corpus))?;
    let mut command = cargo();
    command.args(["fuzz", "run", "--fuzz-dir=.", target, &corpus]);
    // New inputs go to the first folder; the second is only read.
    let seeds = format!("seeds/{target}");
    if folder.join(&seeds).exists() {
        command.arg(&seeds);
    }
    command
        .arg("--")
        .args(LIMITS)
        .args(["-verbosity=0", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    let words = format!("{target}.dict");
    if Path::exists(&folder.join(&words)) {
        command.arg(format!("-dict={words}"));
    }
    run::check(&mut command)
}

/// Cargo in the folder of the targets. They need flags that a stable compiler has but hides.
fn cargo() -> std::process::Command {
    let mut command = run::command("cargo");
    command
        .current_dir(run::root().join("fuzz"))
        .env("RUSTC_BOOTSTRAP", "1");
    command
}
