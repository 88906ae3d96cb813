//! Runs `purebpf btf` as a user would.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::purebpf;
use serde_json::Value;

const KERNEL: &str = "/sys/kernel/btf/vmlinux";

struct Output {
    text: String,
    error: String,
    is_success: bool,
}

fn run(arguments: &[&str]) -> Output {
    let output = purebpf().args(arguments).output().unwrap();
    Output {
        text: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
        is_success: output.status.success(),
    }
}

/// What it prints, if it ends well.
fn text(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.is_success, "{}", output.error);
    output.text
}

fn fixture(name: &str) -> String {
    common::fixture(name).to_str().unwrap().to_owned()
}

/// A file that goes when the test ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let name = format!("purebpf-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not have been written.
        let _gone: std::io::Result<()> = std::fs::remove_file(&self.0);
    }
}

fn has_kernel_btf(test: &str) -> bool {
    let is_there = Path::new(KERNEL).exists();
    if !is_there {
        let is_required = std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_some();
        assert!(!is_required, "{test} needs a kernel with BTF");
        println!("skipped: {test}: this kernel has no BTF");
    }
    is_there
}

#[test]
fn all_formats_have_all_types() {
    let object = fixture("core.bpf.o");
    let lines = text(&["btf", "dump", &object]);
    let types = lines.lines().filter(|line| line.starts_with('[')).count();
    assert!(types > 10);
    let json: Value = serde_json::from_str(&text(&["btf", "dump", &object, "-f", "json"])).unwrap();
    assert_eq!(json["types"].as_array().unwrap().len(), types);
    let c = text(&["btf", "dump", &object, "-f", "c"]);
    assert!(c.starts_with("#ifndef __VMLINUX_H__\n"));
    assert_eq!(c, text(&["btf", "dump", &object, "--format", "c"]));
}

#[test]
fn one_type_comes_with_what_it_needs() {
    if !has_kernel_btf("one_type_comes_with_what_it_needs") {
        return;
    }
    let c = text(&["btf", "dump", "kernel", "-f", "c", "-t", "list_head"]);
    assert!(
        c.contains("struct list_head {\n\tstruct list_head *next;\n\tstruct list_head *prev;\n};")
    );
    assert!(c.len() < 2_000, "{c}");
    let line = text(&["btf", "dump", "kernel", "-t", "list_head"]);
    assert!(line.contains("STRUCT 'list_head' size=16 vlen=2\n\t'next' type_id="));
    let missing = run(&["btf", "dump", "kernel", "-t", "no_such_type"]);
    assert!(!missing.is_success && missing.error.contains("no type `no_such_type`"));
}

#[test]
fn smallest_btf_plans_an_object_as_the_kernels_does() {
    if !has_kernel_btf("smallest_btf_plans_an_object_as_the_kernels_does") {
        return;
    }
    let small = Temporary::new("small.btf");
    let object = fixture("core57.bpf.o");
    let said = text(&["btf", "min", "kernel", &object, "-o", small.path()]);
    assert!(said.contains(" relocations of 1 objects"), "{said}");
    assert!(std::fs::metadata(&small.0).unwrap().len() < 20_000);
    text(&["btf", "check", small.path()]);
    let plan = |btf: &str| text(&["plan", &object, "--json", "--btf", btf]);
    assert_eq!(plan(small.path()), plan("kernel"));
}

#[test]
fn merged_btf_has_each_type_once() {
    let merged = Temporary::new("merged.btf");
    let (a, b) = (fixture("core57.bpf.o"), fixture("globals.bpf.o"));
    let sources = ["btf", "dedup", &a, &b, &a, "--sort", "-o", merged.path()];
    let said = text(&sources);
    assert!(said.contains("of 3 files"), "{said}");
    let ints = text(&["btf", "dump", merged.path(), "-t", "int"]);
    assert_eq!(ints.lines().count(), 1, "{ints}");
    text(&["btf", "check", merged.path()]);
}

#[test]
fn what_is_wrong_with_a_source_is_said() {
    let object = fixture("core.bpf.o");
    for (source, problem) in [
        ("/no/such/file", "No such file"),
        ("/proc/self/exe", "no section .BTF"),
        ("99999999", "BTF"),
    ] {
        let output = run(&["btf", "dump", source]);
        assert!(!output.is_success);
        assert!(output.error.contains(problem), "{source}: {}", output.error);
    }
    let text_file = Temporary::new("text");
    std::fs::write(&text_file.0, "no BTF at all").unwrap();
    let output = run(&["btf", "dump", text_file.path()]);
    assert!(
        output.error.contains("neither ELF nor BTF"),
        "{}",
        output.error
    );
    let output = run(&["btf", "min", &object, text_file.path(), "-o", "/dev/null"]);
    assert!(output.error.contains(text_file.path()), "{}", output.error);
}

#[test]
fn difference_of_two_objects_is_said_and_in_the_exit_status() {
    let (a, b) = (fixture("core.bpf.o"), fixture("globals.bpf.o"));
    let same = run(&["btf", "diff", &a, &a]);
    assert!(same.is_success, "{}", same.error);
    assert!(!same.text.contains("only in"), "{}", same.text);
    let different = run(&["btf", "diff", &a, &b]);
    assert!(!different.is_success);
    assert!(
        different.text.contains("- struct answers"),
        "{}",
        different.text
    );
    let json: Value = serde_json::from_str(&run(&["btf", "diff", &a, &b, "--json"]).text).unwrap();
    let only = json["only_a"].as_array().unwrap();
    assert!(only.iter().any(|subject| subject["name"] == "answers"));
}

#[test]
fn debug_information_becomes_btf() {
    let (file, encoded) = (Temporary::new("shapes.o"), Temporary::new("shapes.btf"));
    std::fs::write(&file.0, include_bytes!("../../btf/tests/dwarf/gcc5.o")).unwrap();
    let said = text(&["btf", "encode", file.path(), "-o", encoded.path()]);
    assert!(said.starts_with("1 units: "), "{said}");
    text(&["btf", "check", encoded.path()]);
    let lines = text(&["btf", "dump", encoded.path()]);
    assert!(lines.contains(" STRUCT '"), "{lines}");
    let output = run(&["btf", "encode", &fixture("core.bpf.o"), "-o", "/dev/null"]);
    assert!(
        output.error.contains("no debug information"),
        "{}",
        output.error
    );
}
