//! Any bytes as two BTFs, of which the second continues the first.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;

fuzz_target!(|data: &[u8]| {
    let (base, split) = purebpf_fuzz::halves(data);
    let Ok(base) = Btf::parse(base).map(Arc::new) else {
        return;
    };
    let parse = |data: Vec<u8>| Btf::parse_split(data, Arc::clone(&base));
    let Ok(btf) = parse(split.to_vec()) else {
        return;
    };
    assert!(btf.own_ids().all(|id| base.ty(id).is_err()));
    purebpf_fuzz::walk(&btf);
    purebpf_fuzz::write(&btf, parse);
});
