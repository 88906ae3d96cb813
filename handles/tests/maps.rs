//! Maps on the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::File;
use std::os::fd::AsFd;

use common::{FileSystem, counter, root, since};
use purebpf_handles::map::Keys;
use purebpf_handles::{Errno, Error, Map, MapAttributes, UpdateFlags};
use purebpf_insn::{MapFlags, MapType};

fn hash(entries: u32) -> Map {
    Map::create(&MapAttributes::new(MapType::HASH, 4, 8, entries).name("a_rather_long_name"))
        .unwrap()
}

#[test]
fn elements_come_and_go() {
    if !root() {
        return;
    }
    let map = hash(2);
    let (key, value) = (1_u32.to_ne_bytes(), 7_u64.to_ne_bytes());
    assert_eq!(map.lookup(&key, UpdateFlags::ANY).unwrap(), None);
    map.update(&key, &value, UpdateFlags::NOEXIST).unwrap();
    assert_eq!(
        map.lookup(&key, UpdateFlags::ANY).unwrap().as_deref(),
        Some(&value[..])
    );
    let again = map.update(&key, &value, UpdateFlags::NOEXIST).unwrap_err();
    assert_eq!(again.errno(), Some(Errno::EEXIST));
    assert_eq!(
        again.to_string(),
        "map `a_rather_long_name`: cannot update an element"
    );
    assert!(map.delete(&key).unwrap());
    assert!(!map.delete(&key).unwrap());
    let taken = map.lookup_and_delete(&key, UpdateFlags::ANY);
    if since(5, 14) {
        assert_eq!(taken.unwrap(), None);
    } else {
        // Before, only queues and stacks could.
        let Err(Error::Call { source, .. }) = taken else {
            panic!("{taken:?}")
        };
        assert_eq!(source.raw_os_error(), purebpf_syscall::ENOTSUPP);
    }
}

#[test]
fn wrong_sizes_are_named_before_the_call() {
    if !root() {
        return;
    }
    let map = hash(2);
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert_eq!(
        message(map.update(&[0; 3], &[0; 8], UpdateFlags::ANY)),
        "map `a_rather_long_name`: the key is 3 bytes, expected 4"
    );
    assert_eq!(
        message(map.update(&[0; 4], &[0; 9], UpdateFlags::ANY)),
        "map `a_rather_long_name`: the value is 9 bytes, expected 8"
    );
    assert!(map.next_key(Some(&[0; 5])).is_err());
    assert!(map.typed::<u64, u64>().is_err());
    assert!(map.typed::<u32, u32>().is_err());
    assert!(map.typed_per_cpu::<u32, u64>().is_err());
    let both = UpdateFlags::CPU | UpdateFlags::ALL_CPUS;
    assert!(map.update(&[0; 4], &[0; 8], both).is_err());
}

#[test]
fn keys_and_typed_elements_are_all_there() {
    if !root() {
        return;
    }
    let map = hash(100).typed::<u32, u64>().unwrap();
    for key in 0..100_u32 {
        map.insert(&key, &(u64::from(key) * 3)).unwrap();
    }
    let mut keys: Vec<u32> = map.keys().collect::<Result<_, _>>().unwrap();
    keys.sort_unstable();
    assert!(keys.into_iter().eq(0..100));
    let sum: u64 = map.iter().map(|element| element.unwrap().1).sum();
    assert_eq!(sum, 3 * 99 * 100 / 2);
    assert_eq!(map.get(&40).unwrap(), Some(120));
    assert!(map.remove(&40).unwrap());
    assert_eq!(map.get(&40).unwrap(), None);
}

#[test]
fn batches_bring_every_element_once() {
    if !root() {
        return;
    }
    let map = hash(1000);
    let keys: Vec<u8> = (0..1000_u32).flat_map(u32::to_ne_bytes).collect();
    let values: Vec<u8> = (0..1000_u64).flat_map(u64::to_ne_bytes).collect();
    map.update_batch(&keys, &values, UpdateFlags::ANY).unwrap();
    // One element a call is fewer than a bucket may hold, so that it has to take more.
    for room in [1, 64, 5000] {
        let mut found: Vec<u32> = Vec::new();
        for batch in map.batches().room(room) {
            let batch = batch.unwrap();
            let (keys, values) = (
                batch.keys.as_chunks::<4>().0,
                batch.values.as_chunks::<8>().0,
            );
            assert_eq!((keys.len(), values.len()), (batch.count, batch.count));
            for (key, value) in keys.iter().zip(values) {
                let key = u32::from_ne_bytes(*key);
                assert_eq!(u64::from(key), u64::from_ne_bytes(*value));
                found.push(key);
            }
        }
        found.sort_unstable();
        assert!(found.into_iter().eq(0..1000), "room {room}");
    }
    map.delete_batch(&keys[..40]).unwrap();
    let drained: usize = map
        .drain_batches()
        .room(100)
        .map(|batch| batch.unwrap().count)
        .sum();
    assert_eq!((drained, map.keys().count()), (990, 0));
    assert!(
        map.update_batch(&keys[..5], &values, UpdateFlags::ANY)
            .is_err()
    );
}

#[test]
fn per_cpu_map_has_a_value_for_each_cpu() {
    if !root() {
        return;
    }
    let map = Map::create(&MapAttributes::new(MapType::PERCPU_HASH, 4, 12, 4)).unwrap();
    let cpus = purebpf_syscall::host::possible_cpus().unwrap();
    assert_eq!(map.buffer_size(), 16 * cpus);
    let values: Vec<[u8; 12]> = (0..cpus).map(|cpu| [cpu as u8 + 1; 12]).collect();
    let key = [0; 4];
    map.update_per_cpu(&key, &values, UpdateFlags::ANY).unwrap();
    let found = map.lookup_per_cpu(&key, UpdateFlags::ANY).unwrap().unwrap();
    assert!(found.iter().eq(values.iter()));
    let typed = map.typed_per_cpu::<u32, [u8; 12]>().unwrap();
    assert_eq!(typed.get(&0).unwrap(), Some(values));
    assert!(typed.insert(&0, &[]).is_err());
    assert!(map.typed::<u32, [u8; 12]>().is_err());
    let keys: Vec<u32> = typed.keys().map(Result::unwrap).collect();
    assert_eq!(keys, [0]);
}

#[test]
fn queue_gives_values_in_order_without_keys() {
    if !root() {
        return;
    }
    let map = Map::create(&MapAttributes::new(MapType::QUEUE, 0, 4, 4)).unwrap();
    for value in 1..4_u32 {
        map.update(&[], &value.to_ne_bytes(), UpdateFlags::ANY)
            .unwrap();
    }
    let number =
        |value: Option<Vec<u8>>| value.map(|it| u32::from_ne_bytes(it.try_into().unwrap()));
    assert_eq!(number(map.lookup(&[], UpdateFlags::ANY).unwrap()), Some(1));
    let take = || number(map.lookup_and_delete(&[], UpdateFlags::ANY).unwrap());
    assert_eq!(
        [take(), take(), take(), take()],
        [Some(1), Some(2), Some(3), None]
    );
}

#[test]
fn memory_of_an_array_is_shared() {
    if !root() {
        return;
    }
    let attributes = MapAttributes::new(MapType::ARRAY, 4, 12, 3)
        .flags(MapFlags::MMAPABLE)
        .name("globals");
    let map = Map::create(&attributes).unwrap();
    let memory = map.memory().unwrap();
    assert_eq!((memory.len(), memory.is_writable()), (48, true));
    memory.set(16, &0x0102_0304_u32).unwrap();
    let typed = map.typed::<u32, [u32; 3]>().unwrap();
    assert_eq!(typed.get(&1).unwrap(), Some([0x0102_0304, 0, 0]));
    typed.insert(&2, &[1, 2, 3]).unwrap();
    assert_eq!(memory.get::<[u32; 3]>(32).unwrap(), [1, 2, 3]);
    memory.store(0, 9_u64).unwrap();
    assert_eq!(memory.load::<u64>(0).unwrap(), 9);
    assert!(memory.get::<u64>(41).is_err());
    assert!(memory.write(usize::MAX, &[1]).is_err());
    // A writable mapping keeps the map from being frozen.
    assert_eq!(map.freeze().unwrap_err().errno(), Some(Errno::EBUSY));
    drop(memory);
    map.freeze().unwrap();
    let memory = map.memory().unwrap();
    assert!(!memory.is_writable());
    assert_eq!(memory.get::<u64>(0).unwrap(), 9);
    assert!(memory.set(0, &1_u8).is_err());
    assert!(map.update(&[0; 4], &[0; 12], UpdateFlags::ANY).is_err());
    assert!(hash(1).memory().is_err());
}

#[test]
fn a_map_is_the_same_whatever_it_was_opened_by() {
    if !root() {
        return;
    }
    let bpffs = FileSystem::mount("bpf");
    let map = hash(3);
    let path = bpffs.path("directory/map");
    assert!(!map.is_pinned().unwrap());
    map.pin(&path).unwrap();
    map.pin(&path).unwrap();
    assert!(map.is_pinned().unwrap());
    let by_fd = Map::from_fd(map.as_fd().try_clone_to_owned().unwrap()).unwrap();
    for other in [
        Map::from_id(map.id()).unwrap(),
        Map::from_pin(&path).unwrap(),
        by_fd,
    ] {
        assert_eq!(other.id(), map.id());
        assert_eq!(other.name(), "a_rather_long_n");
        assert_eq!((other.map_type(), other.max_entries()), (MapType::HASH, 3));
        assert_eq!(other.info().unwrap(), map.info().unwrap());
        other.update(&[1; 4], &[2; 8], UpdateFlags::ANY).unwrap();
        assert_eq!(
            map.lookup(&[1; 4], UpdateFlags::ANY).unwrap(),
            Some(vec![2; 8])
        );
    }
    let pinned = Map::from_pin(&path).unwrap().with_name("mine");
    assert_eq!(
        (pinned.name(), pinned.pin_path()),
        ("mine", Some(path.clone()))
    );
    assert!(pinned.is_pinned().unwrap());
    pinned.unpin().unwrap();
    assert!(!path.exists() && !map.is_pinned().unwrap());
    assert!(pinned.unpin().is_err());
    // What was unpinned by another handle can be pinned anew, elsewhere.
    map.pin(bpffs.path("other")).unwrap();
    assert!(Map::all().any(|other| other.unwrap().id() == map.id()));
}

#[test]
fn pin_says_what_is_wrong_with_a_path() {
    if !root() {
        return;
    }
    let bpffs = FileSystem::mount("bpf");
    let map = counter();
    let message = |path: &std::path::Path| map.pin(path).unwrap_err().to_string();
    assert_eq!(
        message(&bpffs.path("a.b")),
        "map `counter`: a bpffs takes no dots in names"
    );
    let outside = std::env::temp_dir().join("purebpf-no-bpffs/map");
    assert!(message(&outside).ends_with("expected in a bpffs"));
    assert!(
        !outside.parent().unwrap().exists(),
        "a directory stays behind"
    );
    assert!(message(&bpffs.path("a/b/c")).starts_with("cannot create directory"));
    map.pin(bpffs.path("map")).unwrap();
    assert!(message(&bpffs.path("elsewhere")).contains("its pin is"));
    let taken = hash(1).pin(bpffs.path("map")).unwrap_err();
    assert_eq!(taken.errno(), Some(Errno::EEXIST));
}

#[test]
fn an_fd_of_something_else_is_no_map() {
    if !root() {
        return;
    }
    let error = Map::from_fd(File::open("/dev/null").unwrap().into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "map by fd: the fd is no BPF object, expected a map"
    );
    let error = Map::from_pin("/sys/fs/bpf/no/such/map").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
}

#[test]
fn creation_that_is_refused_names_the_map() {
    if !root() {
        return;
    }
    let error = Map::create(&MapAttributes::new(MapType::HASH, 0, 0, 0).name("bad")).unwrap_err();
    assert_eq!(error.to_string(), "map `bad`: cannot create it");
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "BPF_MAP_CREATE: EINVAL: Invalid argument"
    );
}

#[test]
fn a_map_of_maps_holds_maps() {
    if !root() {
        return;
    }
    let inner = hash(4);
    let outer = Map::create(&MapAttributes {
        inner_map: Some(inner.clone()),
        ..MapAttributes::new(MapType::ARRAY_OF_MAPS, 4, 4, 2)
    })
    .unwrap();
    use std::os::fd::AsRawFd;
    let fd = inner.as_fd().as_raw_fd();
    outer
        .update(&[0; 4], &fd.to_ne_bytes(), UpdateFlags::ANY)
        .unwrap();
    let id = inner.id();
    drop(inner);
    let found = outer.typed::<u32, u32>().unwrap().get(&0).unwrap();
    assert_eq!(found, Some(id.0));
    assert_eq!(Map::from_id(id).unwrap().max_entries(), 4);
}

#[test]
fn every_handle_is_owned_and_shared_freely() {
    fn owned<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    fn movable<T: Send + 'static>() {}
    owned::<Map>();
    owned::<purebpf_handles::Program>();
    owned::<purebpf_handles::Link>();
    owned::<purebpf_handles::BtfObject>();
    owned::<purebpf_handles::Token>();
    owned::<purebpf_handles::Memory>();
    owned::<purebpf_handles::TypedMap<u32, u64>>();
    owned::<purebpf_handles::TypedPerCpuMap<u32, u64>>();
    owned::<Keys>();
    movable::<purebpf_handles::RingBuffer>();
    movable::<Error>();
}

#[test]
fn threads_use_one_map_at_once() {
    if !root() {
        return;
    }
    let map = hash(1000).typed::<u32, u64>().unwrap();
    let threads: Vec<_> = (0..4_u32)
        .map(|thread| {
            let map = map.clone();
            std::thread::spawn(move || {
                for key in 0..250 {
                    map.insert(&(thread * 250 + key), &1).unwrap();
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(map.keys().count(), 1000);
}
