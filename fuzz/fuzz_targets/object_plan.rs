//! Any bytes as a BPF object, planned with all its programs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::{limits, mutate};
use purebpf_plan::{ObjectSpec, OpenOptions};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let strict = ObjectSpec::parse(data);
    let Ok(mut spec) = OpenOptions::new().relaxed_maps(true).parse(data) else {
        assert!(strict.is_err(), "what is read strictly is read");
        return;
    };
    purebpf_fuzz::plan_twice(&mut spec);
});

purebpf_fuzz::mutator!(mutate::elf::change);
