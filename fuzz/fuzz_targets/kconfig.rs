//! Any text as a kernel's configuration, for an object that asks for values of it.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::{VERSIONS, kernel, limits, plan};
use purebpf_plan::ObjectSpec;

static OBJECT: LazyLock<ObjectSpec> = LazyLock::new(|| {
    let file: &[u8] = include_bytes!("../../tests/bpf/externs.bpf.o");
    ObjectSpec::parse(file).expect("the fixture")
});

fuzz_target!(|text: &str| {
    let _limits = limits::arm(text, 1 << 20, 32);
    let mut spec = OBJECT.clone();
    for version in VERSIONS {
        let kernel = kernel(version, spec.btf().cloned());
        spec.kconfig = Some(text.to_owned());
        std::hint::black_box(plan(&mut spec, &kernel).is_some());
        spec.kconfig = None;
        std::hint::black_box(plan(&mut spec, &kernel.config(text).symbols(text)).is_some());
    }
});
