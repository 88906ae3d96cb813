//! Any bytes as two BTFs, of which the second continues the first.

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
    let parse = |data: Vec<u8>| Btf::parse_split(data, Arc::clone(&base));
    let lenient = Btf::parse_lenient(split.to_vec(), Some(Arc::clone(&base)));
    if let Ok(lenient) = &lenient {
        purebpf_fuzz::walk(&lenient.btf);
    }
    let Ok(btf) = parse(split.to_vec()) else {
        return;
    };
    assert!(lenient.is_ok_and(|lenient| lenient.faults.is_empty()));
    assert!(btf.own_ids().all(|id| base.ty(id).is_err()));
    purebpf_fuzz::walk(&btf);
    purebpf_fuzz::write(&btf, parse);
});

purebpf_fuzz::mutator!(mutate::parts::pair);
