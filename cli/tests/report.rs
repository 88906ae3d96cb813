//! Errors as the program shows them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::PathBuf;
use std::process::Output;

use common::{fixture, purebpf};
use purebpf::btf::{BtfBuilder, IntEncoding, NewMember};
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    purebpf().args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        let required = std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_some();
        assert!(!required, "this test needs root");
        println!("left out, needs root");
    }
    is_root
}

/// The reports of an object whose programs are loaded one by one, by program.
fn reports(file: &str, more: &[&str]) -> Vec<String> {
    let file = fixture(file);
    let output = run(&[&["load", file.to_str().unwrap(), "--each"], more].concat());
    assert!(!output.status.success());
    err(&output).split("\n\n").map(str::to_owned).collect()
}

#[test]
fn a_refusal_is_shown_with_the_line_and_a_caret() {
    if !is_root() {
        return;
    }
    let reports = reports("rejected.bpf.o", &[]);
    let found = reports
        .iter()
        .find(|report| report.contains("`null_pointer`"));
    let lines: Vec<&str> = found.unwrap().lines().collect();
    let expected = [
        "error: program `null_pointer` (section `raw_tp/sys_enter`): the verifier refused it: \
         R0 invalid mem access 'map_value_or_null'",
        "  --> ./rejected.bpf.c:26:9",
        "   |",
        "26 | return *value; /* without a check */",
        "   |        ^",
        "   = at instruction 7: (79) r0 = *(u64 *)(r0 +0)",
    ];
    assert_eq!(lines[..6], expected);
    assert_eq!(
        lines.last(),
        Some(&"   = note: BPF_PROG_LOAD: EACCES: Permission denied")
    );
    // Kernels before 5.18 tell no registers here.
    for line in &lines[6..lines.len() - 1] {
        assert!(
            line.starts_with("   = register state: R0=map_value_or_null("),
            "{line}"
        );
    }
}

#[test]
fn what_is_missing_is_shown_with_the_types_tried() {
    if !is_root() {
        return;
    }
    let reports = reports("rejected.bpf.o", &[]);
    let found = reports
        .iter()
        .find(|report| report.contains("`missing_in_subprogram`"));
    let report = found.unwrap();
    assert!(
        report.contains("failed to resolve CO-RE relocation <byte_off>"),
        "{report}"
    );
    assert!(report.contains("   = note: tried ["), "{report}");
    assert!(
        report.contains("struct task_struct: it has no member `no_such_member`\n"),
        "{report}"
    );
    assert!(
        report.contains("   = note: called at instruction 0\n"),
        "{report}"
    );
    assert!(!report.contains("unknown#195896080"), "{report}");
}

#[test]
fn the_log_is_shown_only_to_who_asks() {
    if !is_root() {
        return;
    }
    let is_whole = |reports: &[String]| reports.iter().any(|r| r.contains("\nprocessed "));
    assert!(!is_whole(&reports("rejected.bpf.o", &[])));
    assert!(is_whole(&reports("rejected.bpf.o", &["--log"])));
}

#[test]
fn json_has_the_fields_of_the_report() {
    if !is_root() {
        return;
    }
    let file = fixture("rejected.bpf.o");
    let output = run(&["load", file.to_str().unwrap(), "--each", "--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = &all["programs"][0]["diagnosis"];
    assert_eq!(found["program"], "null_pointer");
    assert_eq!(
        (&found["instruction"], &found["errno"]),
        (&7.into(), &13.into())
    );
    assert_eq!(found["source"]["line"], 26);
    assert_eq!(found["reason"], "R0 invalid mem access 'map_value_or_null'");
    assert!(found["log"].as_str().unwrap().contains("processed"));
}

/// Files in a folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("purebpf-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A kernel's BTF with a `struct task_struct` of these members.
    fn btf(&self, name: &str, members: &[&str]) -> String {
        let mut btf = BtfBuilder::new().pointer_size(8);
        let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        let members = members.iter().zip(0u32..).map(|(name, index)| NewMember {
            name,
            ty: int,
            bit_offset: index * 32,
            bitfield_size: 0,
        });
        let members: Vec<_> = members.collect();
        btf.add_struct("task_struct", 64, &members).unwrap();
        let path = self.0.join(name);
        std::fs::write(&path, btf.finish().unwrap().raw_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn many_objects_are_planned_for_many_kernels() {
    let folder = Folder::new("many");
    let with = folder.btf("6.12.btf", &["pid", "no_such_member"]);
    let without = folder.btf("6.1.btf", &["pid"]);
    let [rejected, absent] = ["rejected.bpf.o", "absent.bpf.o"].map(fixture);
    let (rejected, absent) = (rejected.to_str().unwrap(), absent.to_str().unwrap());
    let arguments = ["plan", rejected, absent, "--btf", &with, "--btf", &without];
    let output = run(&arguments);
    assert!(!output.status.success());
    let table: Vec<Vec<String>> = out(&output)
        .lines()
        .map(|line| line.split("  ").map(|cell| cell.trim().to_owned()))
        .map(|cells| cells.filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(
        table,
        [
            ["object", &with, &without],
            [rejected, "ok, 1 missing", "ok, 3 missing"],
            [absent, "fails", "fails"]
        ]
    );
    let reports: Vec<String> = err(&output).split("\n\n").map(str::to_owned).collect();
    assert_eq!(reports.len(), 4);
    assert!(reports[0].contains("kernel function `purebpf_absent_function` does not exist"));
    let expected = format!(
        "warning: {rejected}: program `missing_member`: failed to resolve CO-RE relocation \
         <byte_off> [24] struct task_struct___absent.no_such_member (0:0 @ offset 0)\n  \
         --> ./rejected.bpf.c:32:46\n   |\n\
         32 | struct task_struct___absent *task = (void *)bpf_get_current_task();\n   \
         |                                             ^\n   \
         = at instruction 1\n   \
         = note: tried [2] struct task_struct: it has no member `no_such_member`\n   \
         = note: the verifier refuses the program if it comes here\n   \
         = note: on {without}"
    );
    assert_eq!(reports[1], expected);
    let expected = format!(
        "error: {absent}: extern `bpf_rcu_read_lock`: the kernel does not have it\n  \
         --> ./absent.bpf.c:15:2\n   |\n15 | bpf_rcu_read_lock();\n   | ^\n   \
         = at instruction 0 of `call_it`\n   = note: on {with}, {without}"
    );
    assert_eq!(reports[3].trim_end(), expected);

    let output = run(&[&arguments[..], &["-j"]].concat());
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cell = &all["objects"][0]["kernels"][1];
    assert_eq!((&cell["ok"], &cell["failed"]), (&true.into(), &0.into()));
    let tried = &cell["diagnosis"][1]["tried"];
    assert_eq!(
        tried[0],
        "[2] struct task_struct: it has no member `no_such_member`"
    );
    assert_eq!(all["objects"][1]["kernels"][0]["ok"], false);
}

#[test]
fn a_folder_describes_a_kernel() {
    let folder = Folder::new("folder");
    folder.btf("vmlinux", &["no_such_member"]);
    let (kernel, file) = (folder.0.to_str().unwrap(), fixture("rejected.bpf.o"));
    let arguments = ["plan", file.to_str().unwrap(), "--kernel", kernel];
    let output = run(&arguments);
    assert!(
        err(&output).contains("nothing says which version it is"),
        "{}",
        err(&output)
    );
    let config = "#\n# Linux/x86 5.15.1 Kernel Configuration\n#\nCONFIG_HZ=250\n";
    std::fs::write(folder.0.join("config"), config).unwrap();
    let output = run(&arguments);
    assert!(output.status.success(), "{}", err(&output));
    let warnings = err(&output);
    assert_eq!(warnings.matches("warning").count(), 1);
    assert!(warnings.contains("`purebpf_absent_function`"), "{warnings}");
}

#[test]
fn an_object_that_cannot_be_read_is_a_row_as_well() {
    let folder = Folder::new("unread");
    let btf = folder.btf("6.1.btf", &["pid"]);
    let output = run(&["plan", "/proc/self/exe", "/no/such/file", "--btf", &btf]);
    assert!(!output.status.success());
    assert_eq!(out(&output).matches("fails").count(), 2);
    assert!(err(&output).contains("error: /no/such/file: cannot read `/no/such/file`"));
}
