//! The disassembler against the kernel's own: the verifier's log shows every instruction.

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

use std::collections::BTreeMap;

use purebpf::Loader;
use purebpf::insn::disasm;
use purebpf_syscall::{Log, ProgLoad, prog_load};
use support::open;

/// The kernel's text of each instruction that the verifier came by.
fn kernels(log: &str) -> BTreeMap<usize, String> {
    let lines = log.lines().filter_map(|line| {
        let (index, rest) = line.split_once(": ")?;
        let text = rest.split(" ; ").next()?.trim_end();
        (text.starts_with('(')).then_some((index.trim().parse().ok()?, text.to_owned()))
    });
    lines.collect()
}

#[test]
fn texts_are_those_of_the_verifier() {
    if !common::root() {
        return;
    }
    let mut compared = 0;
    for name in ["core57.bpf.o", "core.bpf.o", "globals.bpf.o"] {
        let mut spec = open(name);
        // Instructions with fds are of no use outside their object.
        spec.maps_mut().for_each(|map| map.autocreate = false);
        let plan = Loader::new().plan(&spec).unwrap();
        for program in &plan.programs {
            let code = program.check().unwrap();
            let mut room = vec![0; 16 << 20];
            let mut log = Log::new(2, &mut room);
            let params = ProgLoad {
                program_type: program.program_type,
                license: c"GPL",
                instructions: &code.insns,
                ..ProgLoad::default()
            };
            // It may well be refused; what counts is what was said until then.
            prog_load(&params, Some(&mut log)).ok();
            let theirs = kernels(&log.text());
            for (index, text) in disasm::disassemble(&code.insns) {
                if let Some(theirs) = theirs.get(&index) {
                    assert_eq!(&text.to_string(), theirs, "{name}, instruction {index}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 10, "{compared} instructions compared");
}
