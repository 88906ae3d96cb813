//! Where the program and its fixtures are, and what kernel runs.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that was built for these tests.
pub(crate) fn purebpf() -> Command {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_purebpf"));
    // In a virtual machine the program is installed. Its path is given, since tests change `PATH`.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("purebpf"));
    let mut places = std::iter::once(built).chain(installed);
    Command::new(places.find(|place| place.exists()).unwrap())
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

/// Whether the running kernel is this one or newer.
pub(crate) fn since(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.trim().parse().ok());
    let running = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    running >= (major, minor)
}
