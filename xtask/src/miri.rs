//! Runs under Miri what it can run: an interpreter that sees what a sanitizer cannot, such as an address
//! that was made of nothing, and that knows few calls of the kernel's.

use std::process::Command;
use std::time::Instant;

use crate::machine::say;
use crate::run;

/// Unit tests of a crate; of those that are wanted, some are left out.
struct Part {
    package: &'static str,
    /// Parts of their names; all, if there are none.
    wanted: &'static [&'static str],
    /// Why, and parts of the names.
    left_out: &'static [(&'static str, &'static [&'static str])],
}

const PARTS: [Part; 4] = [
    Part {
        package: "purebpf-syscall",
        wanted: &[],
        left_out: &[
            (
                "they make calls of the kernel's that Miri does not know",
                &[
                    "retire_releases",
                    "an_address_that_is_taken",
                    "slices_of_the_wrong_length",
                    "an_unknown_event",
                    "epoll::",
                    "fs::",
                    "kernel_file::",
                    "namespace::",
                    "object::",
                    "this_machine_has_facts",
                ],
            ),
            (
                "they read the kernel's BTF, which takes too long",
                &["shared::"],
            ),
            ("it counts to 65,536", &["a_cpu_that_is_named_many_times"]),
        ],
    },
    Part {
        package: "purebpf-insn",
        wanted: &[],
        left_out: &[("it writes a long log", &["no_more_than_the_last_steps"])],
    },
    Part {
        package: "purebpf-elf",
        wanted: &["archive::", "bytes::"],
        left_out: &[("it cuts a file everywhere", &["cut_and_damaged"])],
    },
    Part {
        package: "purebpf-btf",
        wanted: &["entries::", "ext::", "raw::"],
        left_out: &[("they damage data everywhere", &["never_panics"])],
    },
];

/// The toolchain that has Miri.
const NIGHTLY: &str = "nightly";

/// Runs every part; undefined behaviour is a failure, and so is a test that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    installed()?;
    for part in &PARTS {
        let start = Instant::now();
        let mut command = cargo();
        command
            .args(["test", "--locked", "--lib", "--target-dir", "target/miri"])
            .args(["-p", part.package, "--"])
            .args(part.wanted);
        for (reason, tests) in part.left_out {
            say(&format!("left out, since {reason}: {}", tests.join(", ")));
            command.args(tests.iter().flat_map(|test| ["--skip", test]));
        }
        run::check(&mut command)?;
        say(&format!(
            "{}: {} s",
            part.package,
            start.elapsed().as_secs()
        ));
    }
    Ok(())
}

/// Tests read files, and ask the clock.
fn cargo() -> Command {
    let mut command = run::command("rustup");
    command
        .args(["run", NIGHTLY, "cargo", "miri"])
        .env("MIRIFLAGS", "-Zmiri-disable-isolation");
    command
}

/// Whether Miri is installed.
pub(crate) fn is_there() -> bool {
    run::output(cargo().arg("--version")).is_ok()
}

/// Fetches Miri unless it is there.
fn installed() -> anyhow::Result<()> {
    if is_there() {
        return Ok(());
    }
    run::check(
        run::command("rustup")
            .args(["toolchain", "install", NIGHTLY, "--profile", "minimal"])
            .args(["--component", "miri,rust-src"]),
    )
}
