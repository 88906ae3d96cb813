//! Any bytes as a file that may have BTF: ELF, compressed, or a boot image.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::source;

fuzz_target!(|data: &[u8]| {
    if let Ok(found) = source::find(data) {
        assert!(!found.btf.is_empty());
    }
});
