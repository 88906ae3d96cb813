//! Where the program and its fixtures are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that was built for these tests.
pub(crate) fn purebpf() -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_purebpf"));
    // In a virtual machine the program is installed.
    Command::new(if built.exists() {
        built
    } else {
        Path::new("purebpf")
    })
}

/// An object of the tests.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let here = Path::new("tests/bpf").join(name);
    match here.exists() {
        true => here,
        false => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/bpf")
            .join(name),
    }
}
