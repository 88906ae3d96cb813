//! Compares with libbpf inside virtual machines: every program and every map of the fixtures, each
//! by itself, on kernels of different ages.

use anyhow::Context as _;

use crate::machine::{self, Job};
use crate::run;

const SCRIPT: &str = "
/bin/purebpf-bench compare --jobs 1 tests/bpf || failed=1
";

/// Boots each kernel and compares in it; a difference that has no known reason is an error.
pub(crate) fn run(versions: &[String]) -> anyhow::Result<()> {
    run::need(
        &[
            "gcc",
            "make",
            "pkg-config",
            "/usr/include/gelf.h",
            "/usr/include/zlib.h",
        ],
        &["gcc", "make", "pkg-config", "libelf-dev", "zlib1g-dev"],
    )?;
    let arguments = [
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        "bench/Cargo.toml",
    ];
    let program = machine::build(&arguments)?
        .iter()
        .find_map(machine::executable)
        .context("no program was built in bench/")?;
    let job = Job {
        script: SCRIPT,
        programs: vec![("bin", program)],
    };
    machine::run_in_each(versions, &job)
}
