//! Any bytes as a BPF object, planned with all its programs for an old and a new kernel whose types
//! are those of the object itself, so that relocations find something.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::{VERSIONS, kernel, plan};
use purebpf_plan::{ObjectSpec, OpenOptions};

fuzz_target!(|data: &[u8]| {
    let strict = ObjectSpec::parse(data);
    let Ok(mut spec) = OpenOptions::new().relaxed_maps(true).parse(data) else {
        assert!(strict.is_err(), "what is read strictly is read");
        return;
    };
    for version in VERSIONS {
        let kernel = kernel(version, spec.btf().cloned());
        let Some(first) = plan(&mut spec, &kernel) else {
            continue;
        };
        let second = plan(&mut spec, &kernel).expect("what was planned can be planned again");
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }
});
