//! What errors say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "../handles/tests/common/mod.rs"]
mod common;
mod support;

use purebpf::ObjectSpec;
use support::{fixture, open};

fn only(name: &str) -> ObjectSpec {
    let mut spec = open("rejected.bpf.o");
    spec.load_only([name]).unwrap();
    spec
}

#[test]
fn a_rejection_has_program_source_line_and_whole_log() {
    if !common::root() {
        return;
    }
    let error = purebpf::load(&only("null_pointer")).unwrap_err();
    assert_eq!(error.program(), Some("null_pointer"));
    assert_eq!(error.phase().name(), "program");
    assert_eq!(error.errno(), Some(13));
    let line = error.source_line().unwrap();
    assert!(line.file.ends_with("rejected.bpf.c"), "{line:?}");
    assert_eq!(line.text, "return *value; /* without a check */");
    let log = error.verifier_log().unwrap();
    assert!(
        log.contains("map_value_or_null") && log.contains("processed"),
        "{log}"
    );
    assert!(error.to_string().contains("invalid mem access"), "{error}");
}

#[test]
fn a_missing_member_is_named() {
    if !common::root() {
        return;
    }
    let error = purebpf::load(&only("missing_member"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("struct task_struct___absent.no_such_member"),
        "{error}"
    );
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let error = |bytes: &[u8]| {
        let error = ObjectSpec::parse(bytes).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    };
    assert_eq!(
        error(b"#!/bin/sh"),
        "not an ELF file: it begins with [23, 21, 2f, 62]"
    );
    assert_eq!(error(b""), "not an ELF file: it begins with []");
    let host = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(
        error(&host).starts_with("not a BPF object: ELF type is 3"),
        "{}",
        error(&host)
    );
    let object = std::fs::read(fixture("minimal.bpf.o")).unwrap();
    assert!(
        error(&object[..100]).contains("section headers"),
        "{}",
        error(&object[..100])
    );
}

#[test]
fn an_unknown_section_names_the_nearest() {
    let mut bytes = std::fs::read(fixture("minimal.bpf.o")).unwrap();
    let text = b"tracepoint/syscalls";
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(text) {
            bytes[at..at + text.len()].copy_from_slice(b"tracepiont/syscalls");
        }
    }
    let spec = ObjectSpec::parse(bytes).unwrap();
    let kernel = purebpf::plan::DescribedKernel::new(0x06_0c_00);
    let plan = spec.plan(&kernel).unwrap();
    let error = plan.programs[0].check().unwrap_err().to_string();
    assert!(
        error.contains("the nearest known is `tracepoint`"),
        "{error}"
    );
}

#[test]
fn a_map_that_is_refused_says_why_where_the_kernel_does() {
    use purebpf::plan::{Feature, TargetKernel as _};
    if !common::root() {
        return;
    }
    let mut spec = open("choices.bpf.o");
    spec.load_only(["uses_first"]).unwrap();
    spec.map_mut("first").unwrap().map_extra = 7;
    let error = purebpf::load(&spec).unwrap_err();
    assert_eq!(error.phase(), purebpf::loader::Phase::Map);
    assert!(error.to_string().contains("`first`"), "{error}");
    // Not of everything, but of this.
    let says_why = purebpf::RunningKernel::get().has(Feature::CommonAttributes);
    assert_eq!(error.verifier_log().is_some(), says_why, "{error:?}");
}
