//! Lets every system call of the load of every fixture fail.

use crate::run;

/// Runs the long form of the fault harness, on this kernel, for the fixtures whose name contains `only`;
/// it prints a table. Where a call is made over and over in a row, three of these fail, unless `every`
/// one is to. A leak, an error that names no step and a failure that is hidden are failures.
pub(crate) fn run(only: &str, every: bool) -> anyhow::Result<()> {
    run::check(
        run::command("cargo")
            .args(["test", "--locked", "--profile", "vm", "-p", "purebpf"])
            .args(["--test", "faults", "--", "--nocapture"])
            .env("PUREBPF_FAULTS", if every { "every" } else { "all" })
            .env("PUREBPF_FAULTS_ONLY", only)
            .env("PUREBPF_REQUIRE_KERNEL", "1"),
    )
}
