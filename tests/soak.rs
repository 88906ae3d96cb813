//! Everything at once, for a while: 64 threads on clones of 16 maps, programs that send to two ring
//! buffers and a perf buffer, objects loaded and dropped. Every event that was sent is read or counted
//! as lost, and nothing stays behind. One test, so that nothing else of this process opens files.
//!
//! Three seconds, or as many as `PUREBPF_SOAK_SECONDS` says.

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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use purebpf::handles::{
    MapAttributes, PerfBuffer, PerfBufferOptions, PerfRecord, TestRun, UpdateFlags,
};
use purebpf::{Map, MapType, Object, RingBuffer, RunningKernel};
use support::{fixture, mappings, older_than, open};

const THREADS: u64 = 64;
const MAPS: usize = 16;
/// Events that a run of the program sends to each buffer.
const EACH: u64 = 8;
/// The buffers, as `soak.bpf.c` numbers them.
const PERF: usize = 2;

fn seconds() -> u64 {
    let asked = std::env::var("PUREBPF_SOAK_SECONDS").ok();
    asked.map_or(3, |asked| asked.parse().expect("a number of seconds"))
}

/// What readers saw, and what programs counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    read: [u64; 3],
    lost: [u64; 3],
}

fn word(record: &[u8], index: usize) -> u64 {
    u64::from_ne_bytes(record[index * 8..][..8].try_into().unwrap())
}

/// An event as the program writes it: who sent it, and which of theirs it is.
fn event(record: &[u8]) -> (u64, u64) {
    let (thread, number) = (word(record, 0), word(record, 1));
    assert_eq!(word(record, 2), thread ^ !number, "an event is broken");
    (thread, number)
}

/// Reads both ring buffers until `is_over` and nothing is left. A thread's events come in order.
fn read_rings(mut rings: RingBuffer, is_over: &AtomicBool) -> [u64; 2] {
    let mut read = [0; 2];
    let mut next = [[0; THREADS as usize]; 2];
    let mut see = |index: usize, record: &[u8]| {
        let (thread, number) = event(record);
        let expected = &mut next[index][thread as usize];
        assert!(
            number >= *expected,
            "ring {index}: {number} after {expected}"
        );
        *expected = number + 1;
        read[index] += 1;
    };
    loop {
        let last = is_over.load(Ordering::Acquire);
        // Both ways of reading, so that each meets the other's positions.
        while let Some(record) = rings.next().unwrap() {
            see(record.map_index(), &record);
        }
        let wait = Duration::from_millis(20);
        let count = rings.poll(Some(wait), |record| see(record.map_index(), record));
        if count.unwrap() == 0 && last {
            return read;
        }
    }
}

/// Reads a perf buffer until `is_over` and nothing is left; how many records, and how many lost.
fn read_perf(mut perf: PerfBuffer, is_over: &AtomicBool) -> (u64, u64) {
    let (mut read, mut lost) = (0, 0);
    let mut see = |record: &PerfRecord<'_>| match record {
        PerfRecord::Sample(record) => {
            event(record);
            read += 1;
        }
        PerfRecord::Lost { count, .. } => lost += count,
        other => panic!("{other:?}"),
    };
    loop {
        let last = is_over.load(Ordering::Acquire);
        while let Some(record) = perf.next().unwrap() {
            see(&record);
        }
        let wait = Duration::from_millis(20);
        if perf.poll(Some(wait), &mut see).unwrap() == 0 && last {
            return (read, lost);
        }
    }
}

/// Sends events, and counts up elements of maps that are this thread's alone.
fn work(thread: u64, object: &Object, maps: &[Map], end: Instant) -> u64 {
    let program = object.program("produces").unwrap();
    let maps: Vec<Map> = maps.to_vec();
    let key = thread.to_ne_bytes();
    let mut rounds = 0u64;
    while Instant::now() < end {
        let context = [thread.to_ne_bytes(), (rounds * EACH).to_ne_bytes()].concat();
        program.test_run(&TestRun::new().context(&context)).unwrap();
        let map = &maps[(thread + rounds) as usize % MAPS];
        let before = map.lookup(&key, UpdateFlags::ANY).unwrap();
        let before = before.map_or(0, |value| word(&value, 0));
        let value = (before + 1).to_ne_bytes();
        map.update(&key, &value, UpdateFlags::ANY).unwrap();
        rounds += 1;
        // Without a rest readers would hardly run, and nearly all be lost.
        if rounds.is_multiple_of(8) {
            sleep(Duration::from_millis(1));
        }
    }
    rounds
}

/// Loads and drops objects, each at least once, and reads their variables once they are gone.
fn load_and_drop(is_over: &AtomicBool) -> u64 {
    let specs = ["globals.bpf.o", "minimal.bpf.o", "maps.bpf.o"].map(open);
    let mut loaded = 0;
    loop {
        for spec in &specs {
            let object = purebpf::load(spec).unwrap();
            let map = object.maps().next().unwrap().1;
            drop(object);
            map.info().unwrap();
            loaded += 1;
        }
        if is_over.load(Ordering::Acquire) {
            return loaded;
        }
    }
}

/// One soak; prints its figures.
fn soak(time: Duration) {
    let object = purebpf::load(&open("soak.bpf.o")).unwrap();
    let map = |name: &str| object.map(name).unwrap();
    let attributes = MapAttributes::new(MapType::HASH, 8, 8, 256);
    let maps: Vec<Map> = (0..MAPS)
        .map(|_| Map::create(&attributes).unwrap())
        .collect();
    let mut rings = RingBuffer::new(&map("ring_a")).unwrap();
    rings.add(&map("ring_b")).unwrap();
    let perf = PerfBufferOptions::new()
        .pages(16)
        .open(&map("perf"))
        .unwrap();
    let (is_over, are_sent) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let rounds = AtomicU64::new(0);
    let end = Instant::now() + time;

    let (counts, loaded) = scope(|scope| {
        let rings = scope.spawn(|| read_rings(rings, &are_sent));
        let perf = scope.spawn(|| read_perf(perf, &are_sent));
        let loads = scope.spawn(|| load_and_drop(&is_over));
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (object, maps, rounds) = (&object, &maps, &rounds);
                scope.spawn(move || {
                    let mine = work(thread, object, maps, end);
                    rounds.fetch_add(mine, Ordering::Relaxed);
                })
            })
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        is_over.store(true, Ordering::Release);
        let loaded = loads.join().unwrap();
        // The kernel tells of what is lost with the next record of that CPU.
        sleep(Duration::from_millis(100));
        flush(&object, &rounds);
        are_sent.store(true, Ordering::Release);
        let [a, b] = rings.join().unwrap();
        let (read, lost) = perf.join().unwrap();
        let counts = Counts {
            read: [a, b, read],
            lost: [0, 0, lost],
        };
        (counts, loaded)
    });

    let counters = |name| object.global::<[u64; 3]>(name).unwrap().get();
    let (sent, lost, refused) = (counters("sent"), counters("lost"), counters("refused"));
    let rounds = rounds.into_inner();
    println!("{rounds} runs, {loaded} objects; sent {sent:?}, lost {lost:?}; {counts:?}");
    assert_eq!(counts.read, sent);
    assert_eq!(counts.lost[PERF], lost[PERF]);
    assert_eq!(refused, [0; 3]);
    // All that was ever tried; the program discards some of the first.
    let discarded = object.global::<u64>("discarded").unwrap().get();
    for (buffer, discarded) in [discarded, 0, 0].into_iter().enumerate() {
        let tried = sent[buffer] + lost[buffer] + discarded;
        assert_eq!(tried, rounds * EACH, "buffer {buffer}");
    }
    assert!(discarded > 0);
    let elements = maps.iter().map(|map| {
        (0..THREADS)
            .filter_map(|thread| map.lookup(&thread.to_ne_bytes(), UpdateFlags::ANY).unwrap())
            .map(|value| word(&value, 0))
            .sum::<u64>()
    });
    let flushed = purebpf_syscall::host::online_cpus().unwrap().len() as u64;
    assert_eq!(elements.sum::<u64>() + flushed, rounds);
    assert!(sent.iter().all(|sent| *sent > 0));
}

/// One more round on each CPU.
fn flush(object: &Object, rounds: &AtomicU64) {
    let program = object.program("produces").unwrap();
    for cpu in purebpf_syscall::host::online_cpus().unwrap() {
        // Numbers after all others of this thread.
        let number = (u64::MAX >> 1) + u64::from(cpu) * EACH;
        let context = [0u64.to_ne_bytes(), number.to_ne_bytes()].concat();
        let run = TestRun::new().context(&context).on_cpu(cpu);
        program.test_run(&run).unwrap();
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_event_is_read_or_counted_as_lost_and_nothing_leaks() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    assert!(fixture("soak.bpf.o").exists());
    // What is read once in a process comes first.
    let kernel = RunningKernel::get();
    soak(Duration::from_millis(100));
    let before = (common::open_fds(), mappings());
    soak(Duration::from_secs(seconds()));
    assert_eq!((common::open_fds(), mappings()), before);
    drop(kernel);
}
