//! `purebpf gen` as its users run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use common::{fixture, purebpf};
use serde_json::Value;

/// A folder of one test, gone when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("purebpf-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn generate(object: &str, form: &str, output: &PathBuf) -> Output {
    let mut command = purebpf();
    command.args(["gen", "loader", "--format", form]);
    command.arg(fixture(object)).arg("--output").arg(output);
    command.output().unwrap()
}

#[test]
#[cfg(target_endian = "little")]
fn a_loader_as_rust_is_the_file_that_tests_of_the_library_are_built_with() {
    let folder = Folder::new("rust");
    let output = generate("minimal.bpf.o", "rust", &folder.file("light.rs"));
    assert!(output.status.success(), "{output:?}");
    let kept = include_str!("../../tests/bpf/minimal.light.rs");
    assert_eq!(fs::read_to_string(folder.file("light.rs")).unwrap(), kept);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("minimal: maps 1, programs 1, data "),
        "{said}"
    );
}

#[test]
fn a_loader_as_json_has_the_bytes_that_it_has_as_files() {
    let folder = Folder::new("json");
    assert!(
        generate("globals.bpf.o", "json", &folder.file("json"))
            .status
            .success()
    );
    assert!(
        generate("globals.bpf.o", "raw", &folder.file("raw"))
            .status
            .success()
    );
    let json: Value = serde_json::from_slice(&fs::read(folder.file("json")).unwrap()).unwrap();
    for part in ["data", "insns"] {
        let bytes = fs::read(folder.file(&format!("raw.{part}"))).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(json[part].as_str().unwrap(), hex);
        assert!(!bytes.is_empty() && bytes.len().is_multiple_of(8));
    }
    assert_eq!(json["maps"][0]["section"], ".rodata");
    assert_eq!(json["maps"][0]["offset_of_initial_value"], 32);
    let maps = json["maps"].as_array().unwrap().len();
    assert_eq!(json["programs"][0]["offset_of_fd"], 24 + 16 * maps);
    assert_eq!(json["context_size"], 24 + 16 * maps + 4);
}

#[test]
fn an_object_that_has_no_loader_leaves_no_file() {
    let folder = Folder::new("none");
    let output = generate("maps.bpf.o", "rust", &folder.file("light.rs"));
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("map `jumps`, with programs in its slots"),
        "{said}"
    );
    assert!(!folder.file("light.rs").exists());
}
