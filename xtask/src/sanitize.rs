//! Runs tests under a sanitizer, which the compiler has but hides: the soak, or all there are.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::machine::say;
use crate::run;

/// A sanitizer, the variable with its options, and what those are.
const SANITIZERS: [(&str, &str, &str); 2] = [
    ("address", "ASAN_OPTIONS", "detect_leaks=1"),
    // Programs that were forked off go on to others at once.
    ("thread", "TSAN_OPTIONS", "die_after_fork=0"),
];

/// Tests that have to do without a part of a sanitizer: which one, the test with its package and target,
/// the options instead, and why. They are run by themselves.
const APART: [(&str, [&str; 3], &str, &str); 1] = [(
    "address",
    ["purebpf", "faults", "a_load_stopped_at_any_of_its_calls"],
    "detect_leaks=0",
    "strace watches it, and so does the search for leaks: one of them can",
)];

const EVERYTHING: [&str; 5] = [
    "--workspace",
    "--exclude",
    "xtask",
    "--all-features",
    "--no-fail-fast",
];

/// A run of cargo: its arguments, those of the harness, and options of the sanitizer besides its own.
struct Pass {
    arguments: Vec<&'static str>,
    harness: Vec<&'static str>,
    options: &'static str,
}

/// What came of all runs.
#[derive(Debug, Default)]
struct Outcome {
    programs: usize,
    passed: usize,
    failed: usize,
    ignored: usize,
}

/// Builds the tests with the sanitizer and runs them, the privileged ones too; what fails or is found
/// is a failure.
pub(crate) fn run(sanitizer: &str, all: bool) -> anyhow::Result<()> {
    let row = SANITIZERS.iter().find(|row| row.0 == sanitizer);
    let names = SANITIZERS.map(|row| row.0).join(", ");
    let (_, variable, options) =
        row.with_context(|| format!("unknown sanitizer; there are {names}"))?;
    let reports = reports(sanitizer)?;
    let mut options = format!("{options}:log_path={}/report", reports.display());
    let mut flags = format!("-Zsanitizer={sanitizer}");
    let source = run::standard_library_source();
    if let Err(error) = &source {
        say(&format!(
            "the standard library is not checked, its source cannot be had: {error:#}"
        ));
        flags.push_str(" -Cunsafe-allow-abi-mismatch=sanitizer");
        // The harness tells its results through a channel of the library, whose order is not seen then.
        let known = run::root().join("xtask/src/thread.supp");
        options.push_str(&format!(":suppressions={}", known.display()));
    }
    let mut outcome = Outcome::default();
    for pass in passes(sanitizer, all) {
        let mut command = cargo(sanitizer)?;
        if source.is_ok() {
            command.arg("-Zbuild-std");
        }
        command
            .args(pass.arguments)
            .arg("--")
            .args(pass.harness)
            .env("RUSTFLAGS", &flags)
            .env("RUSTDOCFLAGS", &flags)
            .env(variable, format!("{options}:{}", pass.options))
            .env("PUREBPF_REQUIRE_KERNEL", "1");
        outcome.add(&mut command)?;
    }
    let findings = findings(&reports)?;
    say(&format!(
        "{sanitizer}: {} tests in {} programs passed, {} failed, {} were ignored, {findings} findings",
        outcome.passed, outcome.programs, outcome.failed, outcome.ignored,
    ));
    ensure!(outcome.passed > 0, "no test ran");
    ensure!(outcome.failed == 0 && findings == 0, "see above");
    Ok(())
}

fn passes(sanitizer: &str, all: bool) -> Vec<Pass> {
    let own = "";
    if !all {
        return vec![Pass {
            arguments: vec!["-p", "purebpf", "--test", "soak"],
            harness: vec!["--nocapture"],
            options: own,
        }];
    }
    let everything = |kinds: &[&'static str]| [&EVERYTHING, kinds].concat();
    let apart = || APART.iter().filter(|row| row.0 == sanitizer);
    let mut passes = vec![
        Pass {
            arguments: everything(&["--lib", "--bins", "--tests"]),
            harness: apart()
                .flat_map(|(_, [.., test], ..)| ["--skip", *test])
                .collect(),
            options: own,
        },
        Pass {
            arguments: everything(&["--doc"]),
            harness: Vec::new(),
            options: own,
        },
    ];
    for (_, [package, target, test], options, reason) in apart() {
        say(&format!("{test} is run with {options}: {reason}"));
        passes.push(Pass {
            arguments: vec!["-p", package, "--test", target],
            harness: vec![test],
            options,
        });
    }
    passes
}

/// A cargo that tests, and knows the host from the target, so that build scripts and macros do without
/// the sanitizer.
fn cargo(sanitizer: &str) -> anyhow::Result<Command> {
    let version = run::output(run::command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut command = run::command("cargo");
    command
        .args(["test", "--locked", "--target"])
        .arg(host.context("rustc names no host")?)
        .args(["--target-dir", &format!("target/{sanitizer}")])
        .env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}

/// The empty folder that processes leave what they found in: those that a test starts, too, whose
/// output it keeps to itself.
fn reports(sanitizer: &str) -> anyhow::Result<PathBuf> {
    let folder = run::cache(&format!("{sanitizer}/reports"))?;
    for entry in fs::read_dir(&folder)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(folder)
}

/// Shows what was found, and returns in how many processes.
fn findings(reports: &Path) -> anyhow::Result<usize> {
    let mut count = 0_usize;
    for entry in fs::read_dir(reports)? {
        let path = entry?.path();
        let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        say(&String::from_utf8_lossy(&text));
        count = count.saturating_add(1);
    }
    Ok(count)
}

impl Outcome {
    /// Runs tests, and counts what their programs say at their ends.
    fn add(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let failed = self.failed;
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            self.count(&line);
            say(&line);
        }
        // One without a test that failed is of the build, or of the end of a process.
        if !child.wait()?.success() && self.failed == failed {
            self.failed = failed.saturating_add(1);
        }
        Ok(())
    }

    /// Takes in a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let words: Vec<_> = result.split([' ', ';']).collect();
        let of = |what: &str| -> usize {
            let mut pairs = words.windows(2);
            let number = pairs.find_map(|pair| match pair {
                [number, word] if *word == what => number.parse().ok(),
                _ => None,
            });
            number.unwrap_or(0)
        };
        for (sum, more) in [
            (&mut self.programs, 1),
            (&mut self.passed, of("passed")),
            (&mut self.failed, of("failed")),
            (&mut self.ignored, of("ignored")),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added_up() {
        let mut outcome = Outcome::default();
        for line in [
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.1s",
            "test result: FAILED. 20 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
        ] {
            outcome.count(line);
        }
        let Outcome {
            programs,
            passed,
            failed,
            ignored,
        } = outcome;
        assert_eq!((programs, passed, failed, ignored), (2, 23, 2, 1));
    }
}
