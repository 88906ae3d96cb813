//! Any bytes as instructions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_insn::disasm::disassemble;
use purebpf_insn::{Endian, Insn};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let whole = &data[..data.len() / Insn::SIZE * Insn::SIZE];
    for endian in [Endian::Little, Endian::Big] {
        let insns = Insn::read_all(whole, endian).expect("whole instructions");
        for (_, text) in disassemble(&insns) {
            assert!(text.to_string().starts_with('('));
        }
        let bytes: Vec<u8> = insns
            .iter()
            .flat_map(|insn| insn.to_bytes(endian))
            .collect();
        assert_eq!(bytes, whole);
    }
});
