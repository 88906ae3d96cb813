//! Runs the privileged tests inside virtual machines: on kernels that have what the host's lacks.

use std::path::PathBuf;

use crate::arch::{self, Arch};
use crate::fixtures;
use crate::machine::{self, Job};

/// Packages whose tests need a kernel.
const TESTED: [&str; 5] = [
    "purebpf",
    "purebpf-syscall",
    "purebpf-handles",
    "purebpf-loader",
    "purebpf-cli",
];

const SCRIPT: &str = r#"
for test in ${TESTS:-/tests}/*; do
	echo "-- ${test##*/}"
	$test --test-threads=1 --show-output || failed=$((failed + 1))
done
"#;

/// Boots each kernel and runs the tests in it; any failure is an error, once all have run.
pub(crate) fn run(versions: &[String], only: &[String]) -> anyhow::Result<()> {
    run_on(arch::HOST, versions, only)
}

/// The same on a machine that need not be the host's.
pub(crate) fn run_on(
    arch: &'static Arch,
    versions: &[String],
    only: &[String],
) -> anyhow::Result<()> {
    machine::run_in_each(arch, versions, &job(arch, only)?)
}

/// The tests as a job of a machine.
pub(crate) fn job(arch: &Arch, only: &[String]) -> anyhow::Result<Job> {
    let programs = build(arch)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        match name == "purebpf" {
            true => Some(("bin", path)),
            false => {
                let wanted = only.is_empty() || only.iter().any(|only| name.contains(only));
                wanted.then_some(("tests", path))
            }
        }
    });
    Ok(Job {
        script: SCRIPT.to_owned(),
        programs: programs.collect(),
        fixtures: fixtures::of(arch)?,
        objects: None,
    })
}

/// Builds the test binaries and the program, and returns their paths.
fn build(arch: &Arch) -> anyhow::Result<Vec<PathBuf>> {
    let packages = TESTED.iter().flat_map(|name| ["-p", name]);
    let mut binaries = Vec::new();
    for (subcommand, options) in [("test", &["--no-run"][..]), ("build", &[])] {
        let options = options.iter().copied().chain(packages.clone());
        let arguments: Vec<_> = options.chain(["--profile", "vm"]).collect();
        let messages = machine::build(arch, subcommand, &arguments)?;
        binaries.extend(messages.iter().filter_map(|message| {
            let is =
                |pointer, value: &str| message.pointer(pointer).is_some_and(|found| found == value);
            let is_test = message.pointer("/profile/test").and_then(|v| v.as_bool()) == Some(true);
            let is_program = is("/target/name", "purebpf") && is("/target/kind/0", "bin");
            (is_test || is_program)
                .then(|| machine::executable(message))
                .flatten()
        }));
    }
    binaries.sort();
    binaries.dedup();
    Ok(binaries)
}
