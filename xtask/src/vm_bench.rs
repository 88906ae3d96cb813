//! Runs the program of `bench/` inside virtual machines: beside libbpf, on kernels of different ages,
//! with what the host's lacks.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::machine::{self, Job};
use crate::{arch, fixtures, run};

/// Boots each kernel and runs the program in it; what it calls a failure is an error.
pub(crate) fn run(
    versions: &[String],
    arguments: &[String],
    objects: Option<PathBuf>,
) -> anyhow::Result<()> {
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
    let manifest = ["--release", "--manifest-path", "bench/Cargo.toml"];
    let program = machine::build(arch::HOST, "build", &manifest)?
        .iter()
        .find_map(machine::executable)
        .context("no program was built in bench/")?;
    let job = Job {
        script: format!("/bin/purebpf-bench {} || failed=1\n", arguments.join(" ")),
        programs: vec![("bin", program)],
        fixtures: run::root().join(fixtures::FOLDER),
        objects,
    };
    machine::run_in_each(arch::HOST, versions, &job)
}
