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

use purebpf::loader::Error;
use purebpf::plan::{DescribedKernel, Missing};
use purebpf::{ObjectSpec, ProgramType};
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
    // A program that is static may be one of fixed addresses.
    let starts = [2, 3].map(|kind| format!("not a BPF object: ELF type is {kind}"));
    assert!(
        starts.iter().any(|start| error(&host).starts_with(start)),
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
    let kernel = DescribedKernel::new(0x06_0c_00);
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

#[test]
fn a_rejection_has_the_instruction_its_registers_and_the_reason() {
    if !common::root() {
        return;
    }
    let Error::Program { rejection, .. } = purebpf::load(&only("out_of_bounds")).unwrap_err()
    else {
        panic!("not refused as a program");
    };
    assert_eq!(rejection.object, "rejected");
    assert_eq!(rejection.insn, Some(6));
    assert_eq!(rejection.text.as_deref(), Some("(79) r0 = *(u64 *)(r2 +0)"));
    let registers: Vec<_> = rejection.verifier.used().collect();
    let r2 = registers
        .iter()
        .find(|register| register.name == "R2")
        .unwrap();
    assert_eq!(r2.kind(), "map_value");
    let reason = rejection.verifier.reason.as_deref().unwrap();
    assert!(reason.starts_with("R2 unbounded memory access"), "{reason}");
    assert!(
        rejection.missing.is_none() && rejection.hint.is_none(),
        "{rejection:?}"
    );
}

#[test]
fn a_loop_is_shown_where_it_is() {
    if !common::root() {
        return;
    }
    let error = purebpf::load(&only("endless")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("infinite loop detected at insn 7"),
        "{error}"
    );
    assert_eq!(error.source_line().unwrap().text, "while (i < 10)");
}

#[test]
fn what_is_missing_in_a_subprogram_is_known_with_the_types_tried() {
    if !common::root() {
        return;
    }
    let error = purebpf::load(&only("missing_in_subprogram")).unwrap_err();
    let Some(Missing::Core { spec, tried }) = error.missing() else {
        panic!("{error}");
    };
    assert!(
        spec.contains("struct task_struct___absent.no_such_member"),
        "{spec}"
    );
    // The kernel's own, and no module's.
    assert_eq!((tried.len(), tried[0].module.is_none()), (1, true));
    assert!(tried[0].ty.ends_with(" struct task_struct"), "{tried:?}");
    assert!(
        tried[0].why.ends_with("has no member `no_such_member`"),
        "{tried:?}"
    );
    let line = error.source_line().unwrap();
    assert!(
        line.text.contains("no_such_member") || line.text.contains("absent"),
        "{line:?}"
    );
}

#[test]
fn a_map_that_is_not_created_is_named_where_it_is_used() {
    if !common::root() {
        return;
    }
    let mut spec = only("in_subprogram");
    spec.map_mut("counts").unwrap().autocreate = false;
    let error = purebpf::load(&spec).unwrap_err();
    let name = "counts".to_owned();
    assert_eq!(error.missing(), Some(&Missing::Map { name }));
    assert_eq!(error.insn(), Some(7));
}

#[test]
fn an_extern_that_is_missing_is_shown_where_it_is_used() {
    let spec = open("absent.bpf.o");
    let other = open("minimal.bpf.o");
    let kernel = DescribedKernel::new(0x06_0c_00).btf(other.btf().unwrap().clone());
    let error = spec.plan(&kernel).unwrap_err();
    assert_eq!((error.program(), error.insn()), (Some("call_it"), Some(0)));
    let line = error.source_line().unwrap();
    assert_eq!(
        (line.text.as_str(), line.indent),
        ("bpf_rcu_read_lock();", 1)
    );
}

#[test]
fn a_type_of_program_that_the_kernel_was_built_without_is_named() {
    if !common::root() {
        return;
    }
    let mut spec = open("choices.bpf.o");
    spec.load_only(["uses_first"]).unwrap();
    let program = spec.program_mut("uses_first").unwrap();
    program.program_type = ProgramType(4000);
    let error = purebpf::load(&spec).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("not even an empty `type 4000` program"),
        "{hint}"
    );
}

#[test]
fn a_function_that_the_kernel_lacks_is_named_where_it_is_called() {
    if !common::root() {
        return;
    }
    let error = purebpf::load(&only("missing_function")).unwrap_err();
    let name = "purebpf_absent_function".to_owned();
    assert_eq!(error.missing(), Some(&Missing::Function { name }));
    assert_eq!(error.insn(), Some(0));
    let text = &error.source_line().unwrap().text;
    assert_eq!(text, "purebpf_absent_function(); /* without a check */");
}
