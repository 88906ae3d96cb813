//! Any bytes as two BTFs, to be compared.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;
use purebpf_btf::diff::diff;
use purebpf_fuzz::{limits, mutate};

// There are 4 steps for a byte, and at least 16384; each may leave a member with its path.
fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 16 << 20, 2048);
    let (a, b) = purebpf_fuzz::halves(data);
    let (Ok(a), Ok(b)) = (Btf::parse(a), Btf::parse(b)) else {
        return;
    };
    if let (Ok(there), Ok(back)) = (diff(&a, &b), diff(&b, &a)) {
        assert_eq!(there.only_a.len(), back.only_b.len());
        assert_eq!(there.changed.len(), back.changed.len());
        assert_eq!(there.is_empty(), back.is_empty());
    }
    if let Ok(itself) = diff(&a, &a) {
        assert!(itself.is_empty(), "{itself}");
    }
});

purebpf_fuzz::mutator!(mutate::parts::pair);
