//! Perf buffers and user ring buffers, between programs and this process.

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

use std::time::Duration;

use purebpf::handles::{PerfBuffer, PerfBufferOptions, PerfRecord, TestRun, UserRingBuffer};
use purebpf::{Object, RingBuffer};
use support::{older_than, open};

/// The object with the program that sends records of this size.
fn sender(size: u32) -> Object {
    let mut spec = open("buffers.bpf.o");
    spec.load_only(["sends"]).unwrap();
    spec.set_global("record_size", size).unwrap();
    purebpf::load(&spec).unwrap()
}

/// Sends one record on this CPU, or another.
fn send(object: &Object, value: u64, cpu: Option<u32>) {
    let mut context = [0; 16];
    context[..8].copy_from_slice(&value.to_ne_bytes());
    let run = TestRun::new().context(&context);
    let run = cpu.into_iter().fold(run, TestRun::on_cpu);
    object.program("sends").unwrap().test_run(&run).unwrap();
}

fn number(record: &[u8]) -> u64 {
    u64::from_ne_bytes(record[..8].try_into().unwrap())
}

#[test]
fn records_of_all_cpus_are_read() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let mut perf = PerfBuffer::new(&object.map("perf").unwrap()).unwrap();
    assert!(!perf.wait(Some(Duration::ZERO)).unwrap());
    assert!(perf.next().unwrap().is_none());
    let cpus: Vec<u32> = perf.cpus().collect();
    for cpu in &cpus {
        send(&object, u64::from(*cpu) + 100, Some(*cpu));
    }
    assert!(perf.wait(Some(Duration::from_secs(5))).unwrap());
    let mut seen = Vec::new();
    while let Some(record) = perf.next().unwrap() {
        let PerfRecord::Sample(record) = record else {
            panic!("{record:?}");
        };
        // What was sent, and what fills it up to a multiple of 8 with its length of 4.
        assert_eq!(record.len(), 20);
        assert_eq!(number(&record), u64::from(record.cpu()) + 100);
        seen.push(record.cpu());
    }
    seen.sort_unstable();
    assert_eq!(seen, cpus);
    // It belongs to whoever holds it.
    drop(object);
    std::thread::spawn(move || assert!(perf.next().unwrap().is_none()))
        .join()
        .unwrap();
}

#[test]
fn records_are_in_order_and_whole_around_the_end() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    // Not a divisor of the buffer's size, so that some records break.
    let object = sender(12 * 8 + 4);
    let map = object.map("perf").unwrap();
    let options = PerfBufferOptions::new().pages(1).cpus([0]);
    let mut perf = options.open(&map).unwrap();
    for value in 0..500 {
        send(&object, value, Some(0));
        let Some(PerfRecord::Sample(record)) = perf.next().unwrap() else {
            panic!("record {value} is missing");
        };
        assert_eq!(number(&record), value);
    }
}

#[test]
fn what_did_not_fit_is_counted() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(256);
    let map = object.map("perf").unwrap();
    let options = PerfBufferOptions::new().pages(1).cpus([0]);
    let mut perf = options.open(&map).unwrap();
    const SENT: u64 = 50;
    for value in 0..SENT {
        send(&object, value, Some(0));
    }
    let (mut got, mut lost) = (0, 0);
    let mut drain = |perf: &mut PerfBuffer| {
        while let Some(record) = perf.next().unwrap() {
            match record {
                PerfRecord::Sample(record) => {
                    got += u64::from(number(&record) < SENT);
                }
                PerfRecord::Lost { cpu, count } => {
                    assert_eq!(cpu, 0);
                    lost += count;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    drain(&mut perf);
    // The kernel tells of what is lost with the next record that fits.
    send(&object, SENT, Some(0));
    drain(&mut perf);
    assert_eq!(got + lost, SENT);
    assert!(lost > 0);
}

#[test]
fn nothing_is_left_of_a_perf_buffer() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let map = object.map("perf").unwrap();
    let refused = || object.global::<u64>("refused").unwrap().get();
    let perf = PerfBuffer::new(&map).unwrap();
    send(&object, 1, Some(0));
    assert_eq!(refused(), 0);
    drop(perf);
    send(&object, 1, Some(0));
    assert_eq!(refused(), 1);
    assert!(PerfBufferOptions::new().pages(3).open(&map).is_err());
    let bss = object.map(".bss").unwrap();
    let error = PerfBuffer::new(&bss).unwrap_err().to_string();
    assert!(error.contains("perf_event_array"), "{error}");
}

#[test]
fn orders_are_taken_by_the_program() {
    if !common::root() || older_than(6, 1) {
        return;
    }
    let mut spec = open("buffers.bpf.o");
    spec.load_only(["drains"]).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let map = object.map("orders").unwrap();
    assert!(RingBuffer::new(&map).is_err());
    let mut orders = UserRingBuffer::new(&map).unwrap();
    let drain = || {
        let run = TestRun::new().context(&[0; 16]);
        object.program("drains").unwrap().test_run(&run).unwrap();
        let variable = |name| object.global::<u64>(name).unwrap().get();
        (variable("drained"), variable("taken"))
    };
    assert!(orders.send(&5u64.to_ne_bytes()).unwrap());
    let mut written = orders.reserve(8).unwrap().unwrap();
    written.write(0, &7u32.to_ne_bytes()).unwrap();
    written.write(4, &0u32.to_ne_bytes()).unwrap();
    assert!(written.write(5, &[0; 4]).is_err());
    written.submit();
    orders.reserve(16).unwrap().unwrap().discard();
    assert!(orders.send(&9u64.to_ne_bytes()).unwrap());
    assert_eq!(drain(), (3, 21));

    // Until it is full; then there is room as soon as something was taken.
    let mut sent = 0;
    while orders.send(&1u64.to_ne_bytes()).unwrap() {
        sent += 1;
    }
    assert_eq!(sent, 4096 / 16);
    let wait = Some(Duration::from_millis(20));
    assert!(orders.reserve_within(8, wait).unwrap().is_none());
    assert_eq!(drain(), (3 + sent, 21 + sent));
    assert!(orders.reserve_within(8, wait).unwrap().is_some());
    let error = orders.reserve(4096).unwrap_err().to_string();
    assert!(error.contains("at most 4088"), "{error}");
}
