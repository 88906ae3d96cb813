//! Any bytes as damaged BTF, and what the kernel would say of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;
use purebpf_fuzz::{limits, mutate};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let strict = Btf::parse(data);
    let Ok(lenient) = Btf::parse_lenient(data, None) else {
        assert!(strict.is_err());
        return;
    };
    match strict {
        Ok(strict) => {
            assert!(lenient.faults.is_empty());
            assert_eq!(lenient.btf.raw_bytes(), strict.raw_bytes());
        }
        Err(_) => assert!(!lenient.faults.is_empty()),
    }
    purebpf_fuzz::walk(&lenient.btf);
    std::hint::black_box(lenient.btf.check().is_ok());
});

purebpf_fuzz::mutator!(mutate::btf::change);
