//! Any bytes as a base and a split BTF: the base is distilled, and found again.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;
use purebpf_fuzz::{limits, mutate};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let (base, split) = purebpf_fuzz::halves(data);
    let Ok(base) = Btf::parse(base).map(Arc::new) else {
        return;
    };
    let Ok(split) = Btf::parse_split(split, Arc::clone(&base)) else {
        return;
    };
    // As it may come from a file.
    if let Ok(relocated) = split.relocate(Arc::clone(&base)) {
        purebpf_fuzz::walk(&relocated);
    }
    let Ok(distilled) = split.distill() else {
        return;
    };
    assert!(distilled.base.len() <= base.len());
    purebpf_fuzz::walk(&distilled.split);
    if let Ok(relocated) = distilled.split.relocate(base) {
        assert!(relocated.own_ids().count() >= split.own_ids().count());
        purebpf_fuzz::walk(&relocated);
    }
});

purebpf_fuzz::mutator!(mutate::parts::pair);
