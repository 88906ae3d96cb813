//! Plans for kernels of another byte order, as the program prints them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::process::Output;

use common::{fixture, purebpf};
use purebpf::insn::{Endian, Insn};
use serde_json::Value;

/// The plan of an object for the s390x kernel whose types are a fixture.
fn plan(options: &[&str], object: &str) -> Output {
    let mut command = purebpf();
    command.arg("plan").args(options).arg("--btf");
    let files = ["core.s390x.btf", object].map(fixture);
    command.args(files).output().unwrap()
}

#[test]
fn a_plan_for_a_big_endian_kernel_has_instructions_as_that_reads_them() {
    let output = plan(&["--json"], "core.bpfeb.o");
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["endian"], "big-endian");
    let hex = plan["programs"][0]["instructions"].as_str().unwrap();
    // bpf_get_current_task
    assert_eq!(&hex[..16], "8500000000000023");
    let bytes = hex.as_bytes().chunks(2);
    let bytes = bytes.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
    let insns = Insn::read_all(&bytes.collect::<Vec<_>>(), Endian::Big).unwrap();
    assert!(insns[0].is_helper_call() && insns.last().unwrap().code == 0x95);
}

#[test]
fn its_disassembly_is_that_of_any_other() {
    let output = plan(&["--instructions"], "core.bpfeb.o");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("call bpf_get_current_task#35"), "{text}");
    // The offset of `task_struct.pid` there.
    assert!(text.contains("r8 = 1920"), "{text}");
    assert!(
        text.contains("; answers.pid = BPF_CORE_READ(task, pid);"),
        "{text}"
    );
}

#[test]
#[cfg(target_endian = "little")]
fn an_object_of_another_byte_order_than_the_kernel_is_refused_with_both() {
    let output = plan(&[], "core.bpf.o");
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "the object is little-endian, the kernel big-endian";
    assert!(
        !output.status.success() && text.contains(expected),
        "{text}"
    );

    let file = fixture("minimal.bpfeb.o");
    let output = purebpf().arg("load").arg(file).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "the object is big-endian, the kernel little-endian";
    assert!(
        !output.status.success() && text.contains(expected),
        "{text}"
    );
}
