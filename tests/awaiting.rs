//! Records of running programs, awaited in a tokio runtime: one test, so that nothing else of this
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

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use purebpf::handles::buffer::Async;
use purebpf::handles::{PerfBuffer, PerfRecord, TestRun};
use purebpf::{Object, RingBuffer};
use support::{mappings, older_than, open};

const SOON: Duration = Duration::from_secs(10);

fn sender(program: &str) -> Object {
    let mut spec = open("buffers.bpf.o");
    spec.load_only([program]).unwrap();
    purebpf::load(&spec).unwrap()
}

/// Sends these numbers, some time from now, from a thread.
fn send_later(object: &Object, program: &str, numbers: std::ops::Range<u64>) {
    let program = object.program(program).unwrap();
    std::thread::spawn(move || {
        for number in numbers {
            std::thread::sleep(Duration::from_millis(2));
            let context = [number.to_ne_bytes(), [0; 8]].concat();
            program.test_run(&TestRun::new().context(&context)).unwrap();
        }
    });
}

fn number(record: &[u8]) -> u64 {
    u64::from_ne_bytes(record[..8].try_into().unwrap())
}

fn perf_number(record: &PerfRecord<'_>) -> u64 {
    match record {
        PerfRecord::Sample(record) => number(record),
        other => panic!("{other:?}"),
    }
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    let next = poll_fn(|context| Pin::new(&mut *stream).poll_next(context));
    soon(next).await.unwrap()
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.unwrap()
}

async fn ring_buffer() {
    let object = sender("adds");
    let map = object.map("ring").unwrap();
    let mut ring = Async::new(RingBuffer::new(&map).unwrap()).unwrap();
    send_later(&object, "adds", 0..30);
    for expected in 0..10 {
        assert_eq!(number(&soon(ring.next()).await.unwrap()), expected);
    }
    // Dropped at any point of its wait, it takes nothing with it.
    let mut given_up = 0;
    let mut expected = 10;
    while expected < 20 {
        match tokio::time::timeout(Duration::from_micros(300), ring.next()).await {
            Err(_) => given_up += 1,
            Ok(record) => {
                assert_eq!(number(&record.unwrap()), expected);
                expected += 1;
            }
        }
    }
    assert!(given_up > 0);
    let mut stream = ring.records(|record| (record.map_index(), number(record)));
    for expected in 20..25 {
        assert_eq!(next(&mut stream).await.unwrap(), (0, expected));
    }
}

async fn perf_buffer() {
    let object = sender("sends");
    let map = object.map("perf").unwrap();
    let perf = PerfBuffer::new(&map).unwrap();
    // What was there before, and was waited for before, is there for the runtime too.
    send_later(&object, "sends", 0..1);
    assert!(perf.wait(Some(SOON)).unwrap());
    let mut perf = Async::new(perf).unwrap();
    assert_eq!(perf_number(&soon(perf.next()).await.unwrap()), 0);
    send_later(&object, "sends", 1..20);
    for _ in 1..10 {
        perf_number(&soon(perf.next()).await.unwrap());
    }
    let mut stream = perf.records(perf_number);
    let mut seen = 0;
    for _ in 10..15 {
        seen = seen.max(next(&mut stream).await.unwrap());
    }
    // CPUs take turns, so that of two numbers from two of them the later may come first.
    assert!((13..20).contains(&seen), "{seen}");
}

/// A task that waits for what never comes, and ends with its runtime.
async fn left_waiting() {
    let object = sender("adds");
    let map = object.map("ring").unwrap();
    let mut ring = Async::new(RingBuffer::new(&map).unwrap()).unwrap();
    tokio::spawn(async move { ring.next().await.map(|record| record.len()) });
    tokio::task::yield_now().await;
}

#[test]
fn records_are_awaited_and_nothing_leaks_when_dropped_in_the_middle() {
    if !common::root() || older_than(5, 17) {
        return;
    }
    let all = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async {
            ring_buffer().await;
            perf_buffer().await;
            left_waiting().await;
        });
    };
    all();
    // Threads that still send hold a program.
    let before = || {
        std::thread::sleep(Duration::from_millis(200));
        (common::open_fds(), mappings())
    };
    let expected = before();
    for _ in 0..3 {
        all();
    }
    assert_eq!(before(), expected);
    assert_eq!(expected.1, 0);

    let object = sender("adds");
    let reader = RingBuffer::new(&object.map("ring").unwrap()).unwrap();
    let error = Async::new(reader).unwrap_err().to_string();
    assert!(error.contains("no tokio runtime"), "{error}");
}
