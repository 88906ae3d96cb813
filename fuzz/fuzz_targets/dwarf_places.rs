//! Any bytes as an ELF file with DWARF, to look up lines and functions in.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_elf::dwarf::DebugInfo;
use purebpf_fuzz::{limits, mutate};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let Ok(debug) = DebugInfo::parse(data) else {
        return;
    };
    for name in ["first", "twice", "main"] {
        black_box((debug.functions(name).is_ok(), debug.inlined(name).is_ok()));
    }
    for line in [1, 7, 21] {
        if let Ok(found) = debug.line("probed.c", line) {
            assert!(found.addresses.is_sorted());
            assert!(found.next.is_none_or(|next| next > line));
        }
    }
});

purebpf_fuzz::mutator!(mutate::elf::change);
