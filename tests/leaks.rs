//! A load leaves nothing behind, whether it succeeds or fails: one test, so that nothing else of this
//! process opens files meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "../handles/tests/common/mod.rs"]
mod common;
mod support;

use purebpf::handles::{PerfBuffer, UserRingBuffer};
use purebpf::light::{LightLoader, LightOptions};
use purebpf::{RunningKernel, light};
use support::{mappings, open};

fn fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn loads_and_failed_loads_leave_no_fd() {
    if !common::root() {
        return;
    }
    // Features are probed, and the kernel's BTF is mapped, once.
    let kernel = RunningKernel::get();
    let names = [
        "minimal",
        "globals",
        "maps",
        "externs",
        "core",
        "attach",
        "fentry",
        "rejected",
        "subprograms",
    ];
    let once = |name: &str| {
        let result = purebpf::load(&open(&format!("{name}.bpf.o")));
        result
            .map(|object| object.attach_all().map(|links| links.len()))
            .is_ok()
    };
    names.iter().for_each(|name| {
        once(name);
    });
    for name in names {
        let before = fds();
        for _ in 0..3 {
            let is_loaded = once(name);
            assert!(!is_loaded || name != "rejected");
        }
        assert_eq!(fds(), before, "{name}");
    }
    for name in ["minimal", "globals", "symbols", "absent", "rejected"] {
        let Ok(loader) = LightLoader::generate(&open(&format!("{name}.bpf.o")), &kernel) else {
            panic!("{name} has no loader program");
        };
        let before = fds();
        for _ in 0..3 {
            let result = light::run(&loader, &LightOptions::new());
            assert!(result.is_err() || !["absent", "rejected"].contains(&name));
        }
        assert_eq!(fds(), before, "{name}");
    }
    let buffers = || {
        let only = |program: &str| {
            let mut spec = open("buffers.bpf.o");
            spec.load_only([program]).unwrap();
            purebpf::load(&spec)
        };
        let object = only("sends").unwrap();
        let perf = PerfBuffer::new(&object.map("perf").unwrap()).unwrap();
        let refused = object.global::<u64>("refused").unwrap();
        drop((object, perf, refused));
        // Kernels before 6.1 have no such map.
        if let Ok(object) = only("drains") {
            drop(UserRingBuffer::new(&object.map("orders").unwrap()).unwrap());
        }
    };
    buffers();
    let (before, mapped) = (fds(), mappings());
    for _ in 0..3 {
        buffers();
    }
    assert_eq!((fds(), mappings()), (before, mapped));
    drop(kernel);
}
