//! Any bytes as the sections of a BPF object, planned with all its programs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_plan::ObjectSpec;

fuzz_target!(|data: &[u8]| {
    let object = purebpf_fuzz::skeleton::object(data);
    if let Ok(mut spec) = ObjectSpec::parse(object) {
        purebpf_fuzz::plan_twice(&mut spec);
    }
});
