//! Any bytes as a BPF object.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_elf::Object;
use purebpf_fuzz::{limits, mutate};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    black_box(purebpf_elf::find_section(data, ".BTF").is_ok());
    let Ok(object) = Object::parse(data) else {
        return;
    };
    for section in &object.sections {
        assert_eq!(object.section_name(section.index), section.name);
    }
    for (index, function) in object.functions.iter().enumerate() {
        let code = &object.sections[function.section].data;
        assert!((function.insn_offset + function.insns.len()) * 8 <= code.len());
        let found = object.function_at(function.section, function.insn_offset);
        assert!(
            found.is_some_and(|found| {
                let found = &object.functions[found];
                (found.section, found.insn_offset) <= (function.section, function.insn_offset)
            }),
            "function {index} is not at its own place"
        );
    }
    for relocations in &object.relocations {
        for entry in &relocations.entries {
            black_box(object.symbol_name(entry.symbol));
        }
    }
    black_box(object.text().is_some());
});

purebpf_fuzz::mutator!(mutate::elf::change);
