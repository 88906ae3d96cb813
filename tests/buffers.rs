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

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};
use purebpf::handles::{PerfBuffer, PerfBufferOptions, PerfRecord, TestRun, UserRingBuffer};
use purebpf::{Object, RingBuffer};
use support::{lacks, older_than, open};

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

/// Whether `poll(2)` says that there is something to read now.
fn can_be_read(buffer: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(buffer.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
}

/// One page on the first CPU.
fn small() -> PerfBufferOptions {
    PerfBufferOptions::new().pages(1).cpus([0])
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
    let mut perf = small().open(&map).unwrap();
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
    let mut perf = small().open(&map).unwrap();
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
fn an_element_with_a_key_of_its_own_is_read() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let mut spec = open("buffers.bpf.o");
    spec.load_only(["sends"]).unwrap();
    spec.map_mut("perf").unwrap().max_entries = 8;
    spec.set_global("element", 7u64).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let map = object.map("perf").unwrap();
    let options = PerfBufferOptions::new();
    let mut perf = options.cpus_with_keys([(0, 7)]).open(&map).unwrap();
    send(&object, 5, Some(0));
    let Some(PerfRecord::Sample(record)) = perf.next().unwrap() else {
        panic!("nothing was sent");
    };
    assert_eq!((record.cpu(), number(&record)), (0, 5));
    drop(record);
    drop(perf);
    send(&object, 5, Some(0));
    assert_eq!(object.global::<u64>("refused").unwrap().get(), 1);
    let beyond = PerfBufferOptions::new().cpus_with_keys([(0, 8)]);
    assert!(beyond.open(&map).is_err());
}

#[test]
fn samples_of_another_shape_come_as_they_are() {
    const SAMPLE: u32 = 9;
    const RAW_AND_TIME: u64 = 1 << 10 | 1 << 2;
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let map = object.map("perf").unwrap();
    let mut perf = small().sample_type(RAW_AND_TIME).open(&map).unwrap();
    let mut before = 0;
    for value in 0..3 {
        send(&object, value, Some(0));
        let Some(PerfRecord::Other { kind, record }) = perf.next().unwrap() else {
            panic!("record {value} is missing");
        };
        assert_eq!(kind, SAMPLE);
        // The time, the length of what was sent, and that.
        let time = number(&record);
        assert!(time > before);
        before = time;
        assert_eq!(record[8..12], 20u32.to_ne_bytes());
        assert_eq!(number(&record[12..]), value);
    }
}

#[test]
fn records_of_another_event_are_read() {
    const SOFTWARE: u32 = 1;
    const CPU_CLOCK: u64 = 0;
    const SAMPLE_CPU: u64 = 1 << 7;
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let clock = small()
        .event(SOFTWARE, CPU_CLOCK)
        .sample_type(SAMPLE_CPU)
        .period(100_000);
    let mut perf = clock.open(&object.map("perf").unwrap()).unwrap();
    assert!(perf.wait(Some(Duration::from_secs(5))).unwrap());
    let Some(PerfRecord::Other { kind: 9, record }) = perf.next().unwrap() else {
        panic!("no sample of the clock");
    };
    assert_eq!(record[..4], 0u32.to_ne_bytes());
}

#[test]
fn the_reader_of_a_perf_buffer_is_woken_as_asked() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let map = object.map("perf").unwrap();
    // A record has 32 bytes: header, length, 16 of the program, and what fills it up.
    let cases = [
        (small(), 1),
        (small().wakeup_events(3), 3),
        (small().wakeup_bytes(100), 4),
    ];
    for (options, expected) in cases {
        let mut perf = options.open(&map).unwrap();
        for sent in 1..=expected {
            assert!(!can_be_read(&perf), "{options:?}");
            send(&object, sent, Some(0));
        }
        // The kernel wakes from an interrupt of its own.
        assert!(common::soon(|| can_be_read(&perf)), "{options:?}");
        assert_eq!(perf.consume(|_| ()).unwrap() as u64, expected);
    }
}

#[test]
fn waiting_for_a_perf_buffer_ends_as_long_as_there_are_records() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let mut perf = small().open(&object.map("perf").unwrap()).unwrap();
    for value in 0..3 {
        send(&object, value, Some(0));
    }
    // The kernel says so once only.
    for _ in 0..3 {
        assert!(perf.wait(Some(Duration::ZERO)).unwrap());
        perf.next().unwrap().unwrap();
    }
    assert!(!perf.wait(Some(Duration::ZERO)).unwrap());
}

#[test]
fn records_of_one_cpu_are_consumed_up_to_a_number() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let mut perf = small().open(&object.map("perf").unwrap()).unwrap();
    for value in 0..7 {
        send(&object, value, Some(0));
    }
    let mut seen = Vec::new();
    let mut see = |record: &PerfRecord<'_>| match record {
        PerfRecord::Sample(record) => seen.push(number(record)),
        other => panic!("{other:?}"),
    };
    assert_eq!(perf.consume_n(0, &mut see).unwrap(), 0);
    assert_eq!(perf.consume_n(2, &mut see).unwrap(), 2);
    assert_eq!(perf.consume_cpu(0, 2, &mut see).unwrap(), 2);
    assert_eq!(perf.positions(0), Some((4 * 32, 7 * 32)));
    let short = Some(Duration::ZERO);
    assert_eq!(perf.poll(short, &mut see).unwrap(), 3);
    assert_eq!(seen, (0..7).collect::<Vec<_>>());
    assert!(perf.consume_cpu(1, 1, |_| ()).is_err());
    assert!(perf.positions(1).is_none() && perf.event_fd(1).is_none());
}

#[test]
fn the_memory_of_a_cpu_can_be_looked_at() {
    if !common::root() || older_than(5, 10) {
        return;
    }
    let object = sender(16);
    let perf = small().open(&object.map("perf").unwrap()).unwrap();
    send(&object, 0x1234_5678, Some(0));
    // `data_head`, and after the control page and two lengths what the program sent.
    let mut word = [0; 8];
    perf.read_memory(0, 1024, &mut word).unwrap();
    assert_eq!(u64::from_ne_bytes(word), perf.positions(0).unwrap().1);
    let page = purebpf_syscall::host::page_size().unwrap();
    perf.read_memory(0, page + 12, &mut word).unwrap();
    assert_eq!(u64::from_ne_bytes(word), 0x1234_5678);
    assert!(perf.read_memory(0, 2 * page - 7, &mut word).is_none());
    // The event is the one that the program sends to.
    let event = perf.event_fd(0).unwrap();
    assert!(common::soon(|| can_be_read(&event)));
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
    if !common::root() || older_than(6, 1) || !common::jit() {
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

#[test]
fn an_order_waits_until_the_program_made_room() {
    if !common::root() || older_than(6, 1) || !common::jit() {
        return;
    }
    let mut spec = open("buffers.bpf.o");
    spec.load_only(["drains"]).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let mut orders = UserRingBuffer::new(&object.map("orders").unwrap()).unwrap();
    while orders.send(&[0; 8]).unwrap() {}
    let start = Instant::now();
    let drains = object.program("drains").unwrap();
    let drain = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        drains.test_run(&TestRun::new().context(&[0; 16])).unwrap();
    });
    let order = orders.reserve_within(8, None).unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(30));
    order.submit();
    drain.join().unwrap();
}

#[test]
fn an_order_that_waits_for_more_room_than_there_is_does_not_spin() {
    if !common::root() || older_than(6, 1) || !common::jit() {
        return;
    }
    let mut spec = open("buffers.bpf.o");
    spec.load_only(["drains"]).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let mut orders = UserRingBuffer::new(&object.map("orders").unwrap()).unwrap();
    // 4080 of 4096 bytes.
    for _ in 0..255 {
        assert!(orders.send(&[0; 8]).unwrap());
    }
    let used = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let before = used();
    let wait = Some(Duration::from_millis(200));
    assert!(orders.reserve_within(64, wait).unwrap().is_none());
    assert!(used() - before < Duration::from_millis(50));
}

#[test]
fn a_record_that_is_still_written_keeps_later_ones_back() {
    if !common::root() || older_than(5, 17) {
        return;
    }
    // The program that writes it lets nobody else have its CPU.
    let cpus = purebpf_syscall::host::online_cpus().unwrap().len();
    if lacks(cpus < 2, "a second CPU") {
        return;
    }
    let mut spec = open("buffers.bpf.o");
    spec.load_only(["holds", "adds"]).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let mut ring = RingBuffer::new(&object.map("ring").unwrap()).unwrap();
    let run = |program: &str, value: u64| {
        let program = object.program(program).unwrap();
        let context = [value.to_ne_bytes(), [0; 8]].concat();
        move || program.test_run(&TestRun::new().context(&context)).unwrap()
    };
    let variable = |name| object.global::<u32>(name).unwrap();
    let (is_held, let_go) = (variable("is_held"), variable("let_go"));
    let holder = std::thread::spawn(run("holds", 1));
    assert!(common::soon(|| is_held.get() == 1));
    run("adds", 2)();
    assert_eq!(ring.available(0), Some(32));
    assert!(ring.next().unwrap().is_none());
    assert_eq!(ring.consume(|_| ()).unwrap(), 0);
    let_go.set(1).unwrap();
    holder.join().unwrap();
    let mut seen = Vec::new();
    let wait = Some(Duration::from_secs(5));
    let count = ring.poll(wait, |record| seen.push(number(record)));
    assert_eq!((count.unwrap(), seen), (2, vec![1, 2]));
}
