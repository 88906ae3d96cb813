//! Ring buffers on the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{load, map_address, root};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use purebpf_handles::{Map, MapAttributes, Program, RingBuffer, TestRun};
use purebpf_insn::{Insn, MapType, ProgramType, build, opcode as op};

fn ring(size: u32) -> Map {
    Map::create(&MapAttributes::new(MapType::RINGBUF, 0, 0, size).name("ring")).unwrap()
}

/// A program that sends the first 16 bytes of its context.
fn sending(map: &Map) -> Program {
    let [low, high] = map_address(1, map);
    load(
        ProgramType::RAW_TRACEPOINT,
        vec![
            build::load(op::DW, 2, 1, 0),
            build::store(op::DW, 10, -16, 2),
            build::load(op::DW, 2, 1, 8),
            build::store(op::DW, 10, -8, 2),
            low,
            high,
            build::mov64_reg(2, 10),
            build::add64_imm(2, -16),
            build::mov64_imm(3, 12),
            build::mov64_imm(4, 0),
            build::call(130),
            build::mov64_imm(0, 0),
            build::exit(),
        ],
    )
}

/// A program that reserves a record of 24 bytes and submits (132) or discards (133) it.
fn reserving(map: &Map, end: i32) -> Program {
    let [low, high] = map_address(1, map);
    load(
        ProgramType::RAW_TRACEPOINT,
        vec![
            low,
            high,
            build::mov64_imm(2, 24),
            build::mov64_imm(3, 0),
            build::call(131),
            Insn::new(op::JMP | op::JEQ | op::K, 0, 0, 6, 0),
            build::store_imm(op::DW, 0, 0, end),
            build::store_imm(op::DW, 0, 8, 0),
            build::store_imm(op::DW, 0, 16, 0),
            build::mov64_reg(1, 0),
            build::mov64_imm(2, 0),
            build::call(end),
            build::mov64_imm(0, 0),
            build::exit(),
        ],
    )
}

fn send(program: &Program, number: u64) {
    let context = [number.to_ne_bytes(), [0xaa; 8]].concat();
    program.test_run(&TestRun::new().context(&context)).unwrap();
}

fn number(record: &[u8]) -> u64 {
    u64::from_ne_bytes(record[..8].try_into().unwrap())
}

#[test]
fn records_come_in_order_and_over_the_end() {
    if !root() {
        return;
    }
    let map = ring(4096);
    let mut reader = RingBuffer::new(&map).unwrap();
    let program = sending(&map);
    assert!(reader.next().unwrap().is_none());
    // 24 bytes each, so that every round of the buffer breaks at another place.
    for round in 0..30 {
        for step in 0..50 {
            send(&program, round * 50 + step);
        }
        assert_eq!(reader.available(0), Some(50 * 24));
        for step in 0..50 {
            let record = reader.next().unwrap().unwrap();
            assert_eq!(record.len(), 12);
            assert_eq!(number(&record), round * 50 + step);
            assert_eq!(record[8..], [0xaa; 4]);
        }
        assert!(reader.next().unwrap().is_none());
    }
}

#[test]
fn record_that_is_held_keeps_its_memory() {
    if !root() {
        return;
    }
    let map = ring(4096);
    let mut reader = RingBuffer::new(&map).unwrap();
    let program = sending(&map);
    send(&program, 7);
    let record = reader.next().unwrap().unwrap();
    for _ in 0..1000 {
        send(&program, 8);
    }
    assert_eq!(number(&record), 7);
    drop(record);
    // The rest filled the buffer, and what did not fit was dropped.
    let count = reader
        .consume(|record| assert_eq!(number(record), 8))
        .unwrap();
    assert_eq!(count, 4096 / 24 - 1);
}

#[test]
fn discarded_records_are_not_seen() {
    if !root() {
        return;
    }
    let map = ring(4096);
    let mut reader = RingBuffer::new(&map).unwrap();
    let (submit, discard) = (reserving(&map, 132), reserving(&map, 133));
    for program in [&discard, &submit, &discard, &discard, &submit, &discard] {
        program.test_run(&TestRun::new().context(&[0; 8])).unwrap();
    }
    assert_eq!(
        reader
            .consume(|record| assert_eq!(number(record), 132))
            .unwrap(),
        2
    );
    assert_eq!(reader.available(0), Some(0));
}

#[test]
fn wait_ends_with_a_record_or_in_time() {
    if !root() {
        return;
    }
    let map = ring(4096);
    let mut reader = RingBuffer::new(&map).unwrap();
    let program = sending(&map);
    let start = Instant::now();
    assert!(!reader.wait(Some(Duration::from_millis(20))).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(20));
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        send(&program, 5);
    });
    let mut seen = Vec::new();
    let count = reader
        .poll(None, |record| seen.push(number(record)))
        .unwrap();
    sender.join().unwrap();
    assert_eq!((count, seen), (1, vec![5]));
}

#[test]
fn several_maps_take_turns() {
    if !root() {
        return;
    }
    let maps = [ring(4096), ring(8192)];
    let mut reader = RingBuffer::new(&maps[0]).unwrap();
    assert_eq!(reader.add(&maps[1]).unwrap(), 1);
    assert!(reader.add(&maps[1]).is_err());
    assert_eq!(reader.maps().count(), 2);
    for map in &maps {
        let program = sending(map);
        for step in 0..3 {
            send(&program, step);
        }
    }
    let mut seen = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        assert_eq!(record.map().id(), maps[record.map_index()].id());
        seen.push((record.map_index(), number(&record)));
    }
    assert_eq!(seen, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]);
}

#[test]
fn as_many_records_are_consumed_as_asked_and_discarded_ones_do_not_count() {
    if !root() {
        return;
    }
    let maps = [ring(4096), ring(8192)];
    let mut reader = RingBuffer::new(&maps[0]).unwrap();
    reader.add(&maps[1]).unwrap();
    let run = |program: &Program| program.test_run(&TestRun::new().context(&[0; 8])).unwrap();
    for map in &maps {
        let (submit, discard) = (reserving(map, 132), reserving(map, 133));
        for program in [&discard, &submit, &discard, &submit, &discard, &submit] {
            run(program);
        }
    }
    // 24 bytes each, with a header of 8.
    assert_eq!(reader.size(1), Some(8192));
    assert_eq!(reader.positions(1), Some((0, 6 * 32)));
    let mut seen = Vec::new();
    let mut see = |record: &purebpf_handles::Record<'_>| seen.push(record.map_index());
    assert_eq!(reader.consume_n(0, &mut see).unwrap(), 0);
    assert_eq!(reader.consume_n(4, &mut see).unwrap(), 4);
    assert_eq!(reader.positions(0), Some((6 * 32, 6 * 32)));
    assert_eq!(reader.positions(1), Some((2 * 32, 6 * 32)));
    assert_eq!(reader.consume_map(0, 1, &mut see).unwrap(), 0);
    assert_eq!(reader.consume_map(1, 1, &mut see).unwrap(), 1);
    assert_eq!(reader.consume(&mut see).unwrap(), 1);
    assert_eq!(seen, [0, 0, 0, 1, 1, 1]);
    assert!(reader.consume_map(2, 1, |_| ()).is_err());
    assert!(reader.positions(2).is_none() && reader.size(2).is_none());
}

#[test]
fn poll_says_when_there_is_a_record() {
    if !root() {
        return;
    }
    let map = ring(4096);
    let mut reader = RingBuffer::new(&map).unwrap();
    let can_be_read = |reader: &RingBuffer| {
        let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    };
    assert!(!can_be_read(&reader));
    let program = sending(&map);
    send(&program, 1);
    send(&program, 2);
    // As long as there is one, however often it was asked.
    for expected in [true, true, false] {
        assert_eq!(can_be_read(&reader), expected);
        assert_eq!(reader.next().unwrap().is_some(), expected);
    }
}

#[test]
fn reader_moves_to_a_thread_and_outlives_all_else() {
    if !root() {
        return;
    }
    let map = ring(4096);
    let program = sending(&map);
    let mut reader = RingBuffer::new(&map).unwrap();
    drop(map);
    send(&program, 3);
    drop(program);
    let seen = std::thread::spawn(move || number(&reader.next().unwrap().unwrap()));
    assert_eq!(seen.join().unwrap(), 3);
}

#[test]
fn other_maps_are_refused() {
    if !root() {
        return;
    }
    let error = RingBuffer::new(&common::counter()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "map `counter`: its type is array, expected ringbuf"
    );
}
