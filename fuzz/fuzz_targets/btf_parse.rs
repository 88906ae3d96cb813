//! Any bytes as BTF.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;
use purebpf_fuzz::{limits, mutate};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    if let Ok(btf) = Btf::parse(data) {
        purebpf_fuzz::walk(&btf);
        purebpf_fuzz::write(&btf, Btf::parse);
    }
});

purebpf_fuzz::mutator!(mutate::btf::change);
