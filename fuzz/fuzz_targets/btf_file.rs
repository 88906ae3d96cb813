//! Any bytes as a file that may have BTF: ELF, compressed, or a boot image.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::source;
use purebpf_fuzz::{limits, mutate};

// Decoders keep up to 8 MiB for looking back, or two blocks of as much; contents may grow to 100 times.
fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 24 << 20, 256);
    if let Ok(found) = source::find(data) {
        assert!(!found.btf.is_empty());
    }
});

purebpf_fuzz::mutator!(mutate::elf::change);
