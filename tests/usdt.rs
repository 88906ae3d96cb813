//! Static probes of this program, seen by programs that are written for `usdt.bpf.h`.

// The notes of the probes are written for these machines.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "s390x"))]
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
#[path = "support/probes.rs"]
mod probes;
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use probes::{PUREBPF_COUNTED, alone, counted, elsewhere, ordered, plain};
use purebpf::{Object, RingBuffer, attach};
use support::{older_than, open};

/// What `usdt.bpf.c` reports: how many arguments there are, the cookie, four of them, and whether
/// each could be read.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    count: u64,
    cookie: u64,
    values: [i64; 4],
    results: [i64; 4],
}

fn load(program: &str) -> (Object, RingBuffer) {
    let mut spec = open("usdt.bpf.o");
    spec.load_only([program]).unwrap();
    spec.set_global("target", std::process::id()).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let ring = RingBuffer::new(&object.map("events").unwrap()).unwrap();
    (object, ring)
}

fn events(ring: &mut RingBuffer) -> Vec<Event> {
    ring.wait(Some(Duration::from_millis(20))).unwrap();
    let mut events = Vec::new();
    while let Some(record) = ring.next().unwrap() {
        let word =
            |index: usize| i64::from_ne_bytes(record[index * 8..index * 8 + 8].try_into().unwrap());
        events.push(Event {
            count: word(0).cast_unsigned(),
            cookie: word(1).cast_unsigned(),
            values: [2, 3, 4, 5].map(word),
            results: [6, 7, 8, 9].map(word),
        });
    }
    events
}

const THERE: &str = "/proc/self/exe";

#[test]
fn a_static_probe_is_seen_with_its_arguments_at_all_its_places() {
    // Before 5.15 a probe of a movable program is seen in one process only: another test.
    if !common::root() || older_than(5, 15) {
        return;
    }
    let (object, mut ring) = load("by_section");
    let link = object.attach("by_section").unwrap();
    // A link does not need its object.
    drop(object);
    plain(-5, u64::MAX, &[1, 2, 3, 60_000]);
    elsewhere(7);
    let seen = events(&mut ring);
    assert_eq!(
        seen[0],
        Event {
            count: 4,
            cookie: 0,
            values: [-5, -1, 60_000, -3],
            results: [0; 4],
        }
    );
    let firsts: Vec<_> = seen[1..].iter().map(|event| event.values[0]).collect();
    assert_eq!(firsts, [7, 8]);
    assert_eq!((seen[1].count, seen[1].results[1]), (1, -2));
    drop(link);
    plain(1, 2, &[0; 4]);
    assert_eq!(events(&mut ring), []);
}

#[test]
fn drop_in_any_order_usdt_link_after_its_object() {
    if !common::root() || older_than(5, 15) {
        return;
    }
    for is_kept in [false, true] {
        let (object, mut ring) = load("by_hand");
        let program = object.program("by_hand").unwrap();
        let probe = attach::Usdt::new(THERE, "purebpf", "ordered").pid(0);
        let kept = is_kept.then(|| program.clone());
        let link = program.attach(probe).unwrap();
        drop((object, program));
        ordered(3);
        assert_eq!(events(&mut ring)[0].values[0], 3);
        drop(link);
        ordered(4);
        assert_eq!(events(&mut ring), []);
        drop(kept);
    }
}

#[test]
fn a_probe_of_this_process_alone_is_seen_by_address_too() {
    if !common::root() {
        return;
    }
    let (object, mut ring) = load("by_hand");
    let program = object.program("by_hand").unwrap();
    let probe = attach::Usdt::new(THERE, "purebpf", "alone")
        .pid(0)
        .cookie(77);
    let map = |name| object.map(name).unwrap();
    let given = probe
        .clone()
        .maps(&map("__bpf_usdt_specs"), &map("__bpf_usdt_ip_to_spec_id"));
    for probe in [probe, given] {
        let link = program.attach(&probe).unwrap();
        alone(1);
        let seen = events(&mut ring);
        let of = |event: &Event| (event.values[0], event.cookie);
        assert_eq!(seen.iter().map(of).collect::<Vec<_>>(), [(1, 77), (2, 77)]);
        link.detach().unwrap();
        alone(1);
        assert_eq!(events(&mut ring), []);
    }
}

#[test]
fn who_wants_a_probe_is_counted() {
    if !common::root() || older_than(5, 15) {
        return;
    }
    let (object, mut ring) = load("by_hand");
    let program = object.program("by_hand").unwrap();
    let probe = attach::Usdt::new(THERE, "purebpf", "counted");
    let attached = program.attach(&probe);
    if cfg!(target_arch = "x86_64") && object.map("__bpf_usdt_specs").unwrap().value_size() == 208 {
        // This header has no room for an index.
        let error = attached.unwrap_err().to_string();
        assert!(error.contains("index register"), "{error}");
        assert_eq!(PUREBPF_COUNTED.load(Ordering::SeqCst), 0);
        return;
    }
    let link = attached.unwrap();
    assert_eq!(PUREBPF_COUNTED.load(Ordering::SeqCst), 1);
    counted(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(events(&mut ring)[0].values[0], 5);
    drop(link);
    assert_eq!(PUREBPF_COUNTED.load(Ordering::SeqCst), 0);
}

#[test]
fn a_probe_that_is_not_there_is_named() {
    if !common::root() {
        return;
    }
    let (object, _ring) = load("by_hand");
    let program = object.program("by_hand").unwrap();
    let error = program.attach(attach::Usdt::new(THERE, "purebpf", "no_such"));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`purebpf:no_such`"), "{error}");
}
