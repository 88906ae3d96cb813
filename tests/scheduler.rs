//! A scheduler of ours takes over the machine, in a test program of its own: nothing else is to run
//! while it may.

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

use std::path::Path;

use support::{lacks, number, open, variable};

fn state(file: &str) -> String {
    let path = Path::new("/sys/kernel/sched_ext").join(file);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim_end().to_owned()
}

/// Threads that have to be scheduled again and again.
fn work() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    std::thread::sleep(std::time::Duration::from_micros(100));
                    std::thread::yield_now();
                }
            });
        }
    });
}

#[test]
fn a_scheduler_runs_threads_until_its_link_is_dropped() {
    let is_missing = !Path::new("/sys/kernel/sched_ext").exists();
    if !common::root() || lacks(is_missing, "sched_ext") {
        return;
    }
    assert_eq!(state("state"), "disabled");
    let spec = open("sched_ext.bpf.o");
    let object = purebpf::load(&spec).unwrap();
    let value = |section, name| number(&variable(&object, &spec, section, name));
    let links = object.attach_all().unwrap();
    assert_eq!(links.len(), 1);
    assert!(common::soon(|| state("state") == "enabled"));
    assert_eq!(state("root/ops"), "purebpf_fifo");
    let before = value(".bss", "dispatched");
    work();
    let dispatched = value(".bss", "dispatched");
    assert!(dispatched >= before + 50, "{before}, then {dispatched}");
    assert!(value(".bss", "enqueued") >= dispatched);
    assert_eq!(value(".bss", "exited"), 0);
    drop(links);
    assert!(common::soon(|| state("state") == "disabled"));
    assert!(common::soon(|| value(".bss", "exited") == 1));
    // It was asked to go, and did not fail.
    assert_eq!(value(".bss", "exit_code"), 0);
    work();
}
