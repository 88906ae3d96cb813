//! Any bytes as the sections of a BPF object, planned with all its programs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::{limits, mutate};
use purebpf_plan::ObjectSpec;

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let object = purebpf_fuzz::skeleton::object(data);
    if let Ok(mut spec) = ObjectSpec::parse(object) {
        purebpf_fuzz::plan_twice(&mut spec);
    }
});

purebpf_fuzz::mutator!(mutate::parts::sections);
