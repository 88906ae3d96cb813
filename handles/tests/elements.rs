//! Elements of maps: many at once, of one CPU, on maps that change, held by others.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{attributes, counter, load, map_address, root, since, soon};
use purebpf_handles::map::Batch;
use purebpf_handles::{Errno, Error, Map, MapAttributes, Program, TestRun, Token, UpdateFlags};
use purebpf_insn::{Insn, MapType, ProgramType, build};

fn create(map_type: MapType, sizes: [u32; 3]) -> Map {
    Map::create(&MapAttributes::new(map_type, sizes[0], sizes[1], sizes[2]).name("elements"))
        .unwrap()
}

fn numbers(count: u32) -> Vec<u8> {
    (0..count).flat_map(u32::to_ne_bytes).collect()
}

fn found(batches: impl Iterator<Item = Result<Batch, Error>>) -> Vec<u32> {
    let mut found = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        found.extend(
            batch
                .keys
                .as_chunks()
                .0
                .iter()
                .copied()
                .map(u32::from_ne_bytes),
        );
        assert_eq!(batch.keys, batch.values);
    }
    found.sort_unstable();
    found
}

#[test]
fn a_hundred_thousand_elements_come_whole_on_every_run() {
    if !root() {
        return;
    }
    const COUNT: u32 = 100_000;
    for _ in 0..5 {
        // Each map has a hash seed of its own, so that its buckets are filled in another way.
        let map = create(MapType::HASH, [4, 4, COUNT]);
        let keys = numbers(COUNT);
        map.update_batch(&keys, &keys, UpdateFlags::NOEXIST)
            .unwrap();
        for room in [16_384, 1_000, COUNT as usize] {
            assert!(
                found(map.batches().room(room)).into_iter().eq(0..COUNT),
                "{room}"
            );
        }
        let mut batches = map.drain_batches();
        let (mut batch, mut drained) = (Batch::default(), 0);
        while batches.read_into(&mut batch).unwrap() {
            drained += batch.count;
        }
        assert_eq!(drained, COUNT as usize);
        assert_eq!(found(map.batches()), []);
        assert!(!batches.read_into(&mut batch).unwrap() && batch.count == 0);
    }
}

#[test]
fn what_has_no_batches_is_read_and_written_one_by_one() {
    if !root() {
        return;
    }
    // The values are indices of network devices: 1 is the loopback.
    let map = create(MapType::DEVMAP_HASH, [4, 4, 64]);
    let (keys, values) = (numbers(50), [1_u32.to_ne_bytes(); 50].concat());
    map.update_batch(&keys, &values, UpdateFlags::ANY).unwrap();
    let all = |room| -> (Vec<usize>, BTreeSet<Vec<u8>>) {
        let batches: Vec<Batch> = map.batches().room(room).map(Result::unwrap).collect();
        let keys = batches
            .iter()
            .flat_map(|it| it.keys.chunks(4).map(<[u8]>::to_vec));
        (batches.iter().map(|it| it.count).collect(), keys.collect())
    };
    let (counts, found) = all(20);
    assert_eq!((counts, found.len()), (vec![20, 20, 10], 50));
    map.delete_batch(&keys[..160]).unwrap();
    assert_eq!(all(20).0, [10]);
    let missing = map.delete_batch(&keys[..4]).unwrap_err();
    assert_eq!(missing.errno(), Some(Errno::ENOENT));
    assert_eq!(
        map.drain_batches()
            .map(|it| it.unwrap().count)
            .sum::<usize>(),
        10
    );
    assert_eq!(all(20).0, []);
}

#[test]
fn an_error_of_a_batch_that_is_not_for_lack_of_batches_is_passed_on() {
    if !root() {
        return;
    }
    let map = create(MapType::HASH, [4, 4, 2]);
    let keys = numbers(3);
    let full = map
        .update_batch(&keys, &keys, UpdateFlags::ANY)
        .unwrap_err();
    assert_eq!(full.errno(), Some(Errno::E2BIG));
    let wrong = UpdateFlags::from_bits_retain(1 << 40);
    let wrong = map.update_batch(&keys[..4], &keys[..4], wrong).unwrap_err();
    assert_eq!(wrong.errno(), Some(Errno::EINVAL));
    let queue = create(MapType::QUEUE, [0, 4, 4]);
    assert!(queue.batches().next().unwrap().is_err());
    assert!(queue.keys().next().unwrap().is_err());
}

#[test]
fn the_walker_may_delete_the_key_that_it_was_given() {
    if !root() {
        return;
    }
    let map = create(MapType::HASH, [4, 4, 1000]);
    let keys = numbers(1000);
    map.update_batch(&keys, &keys, UpdateFlags::ANY).unwrap();
    let mut walk = map.keys();
    let mut seen = BTreeSet::new();
    while let Some(key) = walk.advance().unwrap() {
        assert!(seen.insert(key.to_vec()));
        assert!(map.delete(key).unwrap());
    }
    assert_eq!((seen.len(), walk.restarts()), (1000, 0));
}

#[test]
fn a_walk_that_loses_its_place_says_that_it_started_over() {
    if !root() {
        return;
    }
    let map = create(MapType::HASH, [4, 4, 100]);
    let keys = numbers(100);
    map.update_batch(&keys, &keys, UpdateFlags::ANY).unwrap();
    let order: Vec<Vec<u8>> = map.keys().map(Result::unwrap).collect();
    let mut walk = map.keys();
    for key in &order[..50] {
        assert_eq!(&walk.next().unwrap().unwrap(), key);
    }
    // The walk stands before the 51st, which it knows already; without it, it cannot go on from there.
    map.delete(&order[50]).unwrap();
    let rest: Vec<Vec<u8>> = walk.by_ref().map(Result::unwrap).collect();
    assert_eq!(walk.restarts(), 1);
    let given: BTreeSet<_> = rest.iter().chain(&order[..50]).collect();
    assert_eq!(given.len(), 100, "every key was given at least once");
}

#[test]
fn a_walk_through_a_map_that_never_rests_ends() {
    if !root() {
        return;
    }
    let map = create(MapType::HASH, [4, 4, 64]);
    let keys = numbers(64);
    map.update_batch(&keys, &keys, UpdateFlags::ANY).unwrap();
    let mut walk = map.keys();
    let mut away: Option<Vec<u8>> = None;
    let mut given = 0;
    let error = loop {
        match (walk.next().unwrap(), away.take()) {
            (Err(error), _) => break error,
            // What the walk has in mind already is away while it asks what comes after it.
            (Ok(key), None) => {
                let ahead = map.next_key(Some(&key)).unwrap().unwrap();
                map.delete(&ahead).unwrap();
                away = Some(ahead);
            }
            (Ok(key), Some(ahead)) => {
                assert_eq!(key, ahead);
                map.update(&ahead, &ahead, UpdateFlags::ANY).unwrap();
            }
        }
        given += 1;
        assert!(given <= 17 * 64, "the walk has no end");
    };
    assert!(matches!(error, Error::Unsteady { .. }), "{error}");
    assert!(walk.next().is_none());
}

#[test]
fn threads_that_change_a_map_do_not_keep_a_walk_from_ending() {
    if !root() {
        return;
    }
    let map = create(MapType::HASH, [4, 4, 1000]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2_u32 {
            let (map, stop) = (&map, &stop);
            scope.spawn(move || {
                for key in (0..500_u32).cycle() {
                    let key = (thread * 500 + key).to_ne_bytes();
                    map.update(&key, &key, UpdateFlags::ANY).unwrap();
                    map.delete(&(key.map(|byte| byte ^ 1))).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        for _ in 0..20 {
            let mut walk = map.keys();
            let given = walk.by_ref().filter(Result::is_ok).count();
            assert!(given <= 17_000 && walk.restarts() <= 17);
            for batch in map.batches() {
                let batch = batch.unwrap();
                assert_eq!(batch.keys.len(), 4 * batch.count);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_goes_away_is_left_out_of_a_walk_through_all_objects() {
    if !root() {
        return;
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                drop([counter(), counter(), counter()]);
            }
        });
        let kept = counter();
        for _ in 0..50 {
            let ids: Vec<_> = Map::all().map(|map| map.unwrap().id()).collect();
            assert!(ids.is_sorted() && ids.contains(&kept.id()));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_value_of_one_cpu_is_read_by_itself() {
    if !root() {
        return;
    }
    let cpus = purebpf_syscall::host::possible_cpus().unwrap() as u32;
    for map_type in [MapType::PERCPU_HASH, MapType::PERCPU_ARRAY] {
        let map = create(map_type, [4, 12, 2]);
        let key = 1_u32.to_ne_bytes();
        let values: Vec<[u8; 12]> = (0..cpus).map(|cpu| [cpu as u8 + 1; 12]).collect();
        map.update_per_cpu(&key, &values, UpdateFlags::ANY).unwrap();
        let mut value = [0; 12];
        for cpu in 0..cpus {
            assert!(map.lookup_cpu_into(&key, cpu, &mut value).unwrap());
            assert_eq!(value, values[cpu as usize]);
            assert_eq!(map.lookup_cpu(&key, cpu).unwrap(), Some(value.to_vec()));
        }
        map.update_all_cpus(&key, &[9; 12], UpdateFlags::EXIST)
            .unwrap();
        assert_eq!(map.lookup_cpu(&key, cpus - 1).unwrap(), Some(vec![9; 12]));
        let one = map.update_cpu(&key, 0, &[7; 12]);
        assert_eq!(one.is_ok(), since(7, 0), "{one:?}");
        if one.is_ok() {
            assert_eq!(map.lookup_cpu(&key, 0).unwrap(), Some(vec![7; 12]));
            let others = map.lookup_per_cpu(&key, UpdateFlags::ANY).unwrap().unwrap();
            assert!(others[1..].iter().all(|value| value == &[9; 12]));
        }
        let error = map.lookup_cpu(&key, cpus).unwrap_err().to_string();
        let expected = format!("the number of the CPU is {cpus}, expected less than {cpus}");
        assert_eq!(error, format!("map `elements`: {expected}"));
        assert!(map.lookup_cpu_into(&key, 0, &mut [0; 8]).is_err());
    }
    assert!(counter().lookup_cpu(&[0; 4], 0).is_err());
    let hash = create(MapType::PERCPU_HASH, [4, 12, 2]);
    assert_eq!(hash.lookup_cpu(&[0; 4], 0).unwrap(), None);
}

#[test]
fn another_fd_is_a_real_one_and_the_handle_does_not_need_it() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(
        ProgramType::XDP,
        vec![build::mov64_imm(0, 2), build::exit()],
    );
    let fd = map.try_clone_fd().unwrap();
    assert!(fd.as_raw_fd() > 2 && fd.as_raw_fd() != map.as_fd().as_raw_fd());
    let (id, other) = (map.id(), Map::from_fd(fd).unwrap());
    drop(map);
    assert_eq!(other.id(), id);
    let other = Program::from_fd(program.try_clone_fd().unwrap()).unwrap();
    assert_eq!(other.tag(), program.tag());
    assert!(Token::from_fd(other.try_clone_fd().unwrap()).is_ok());
}

/// A program that calls entry 0 of an array, and returns 1 if that fails.
fn calling(array: &Map) -> Vec<Insn> {
    let [low, high] = map_address(2, array);
    vec![
        low,
        high,
        build::mov64_imm(3, 0),
        build::call(12),
        build::mov64_imm(0, 1),
        build::exit(),
    ]
}

#[test]
fn a_program_array_is_emptied_with_its_last_handle_unless_a_program_holds_it() {
    if !root() {
        return;
    }
    let target = load(
        ProgramType::XDP,
        vec![build::mov64_imm(0, 2), build::exit()],
    );
    let returned = |program: &Program| {
        let run = TestRun::new().data(&[0; 64]);
        program.test_run(&run).unwrap().return_value
    };
    for is_held in [true, false] {
        let array = create(MapType::PROG_ARRAY, [4, 4, 1]);
        let fd = target.as_fd().as_raw_fd().to_ne_bytes();
        array.update(&[0; 4], &fd, UpdateFlags::ANY).unwrap();
        let mut program = Program::load(&attributes(ProgramType::XDP, calling(&array))).unwrap();
        if is_held {
            program = program.holding(vec![array.clone()]);
        }
        drop(array);
        let clone = program.clone();
        drop(program);
        if is_held {
            assert_eq!(returned(&clone), 2);
        } else {
            // The kernel empties it a moment later.
            assert!(soon(|| returned(&clone) == 1));
        }
    }
}
