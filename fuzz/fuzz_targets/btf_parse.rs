//! Any bytes as BTF.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;

fuzz_target!(|data: &[u8]| {
    if let Ok(btf) = Btf::parse(data) {
        purebpf_fuzz::walk(&btf);
        purebpf_fuzz::write(&btf, Btf::parse);
    }
});
