//! Any bytes as a binary with static probes, and any text as the places of their arguments.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_elf::usdt::{Machine, Notes, arguments};
use purebpf_fuzz::{limits, mutate};

const MACHINES: [Machine; 5] = [
    Machine::X86_64,
    Machine::Aarch64,
    Machine::Arm,
    Machine::S390x,
    Machine::Riscv64,
];

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    if let Ok(all) = Notes::read(data) {
        // No note is shorter than its header and three addresses.
        assert!(all.notes.len() * 24 <= data.len());
        for note in &all.notes {
            black_box(arguments(Machine::X86_64, &note.arguments).is_ok());
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        for machine in MACHINES {
            if let Ok(all) = arguments(machine, text) {
                assert!(all.len() <= 12);
            }
        }
    }
});

purebpf_fuzz::mutator!(mutate::elf::change);
