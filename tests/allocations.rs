//! Access to elements takes no memory.

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

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use purebpf::handles::map::Batch;
use purebpf::handles::map::view::{Array, Queue};
use purebpf::handles::{MapAttributes, UpdateFlags};
use purebpf::{Map, MapType};

struct Counting;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(address, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often this thread takes memory meanwhile.
fn allocations(run: impl FnOnce()) -> usize {
    let before = TAKEN.get();
    run();
    TAKEN.get() - before
}

fn create(kind: MapType, key: u32) -> Map {
    Map::create(&MapAttributes::new(kind, key, 8, 1000)).unwrap()
}

#[test]
fn access_to_elements_takes_no_memory() {
    if !common::root() {
        return;
    }
    let hash = create(MapType::HASH, 4);
    let typed = hash.typed::<u32, u64>().unwrap();
    let array: Array<u64> = create(MapType::ARRAY, 4).view().unwrap();
    let queue: Queue<u64> = create(MapType::QUEUE, 0).view().unwrap();
    let per_cpu = create(MapType::PERCPU_HASH, 4);
    let mut values = vec![1; per_cpu.buffer_size()];
    let any = UpdateFlags::ANY;
    let taken = allocations(|| {
        for key in 0..1000 {
            typed.insert(&key, &u64::from(key)).unwrap();
            assert_eq!(typed.get(&key).unwrap(), Some(u64::from(key)));
            assert_eq!(typed.get(&(key + 1)).unwrap(), None);
            array.set(key, &1).unwrap();
            assert_eq!(array.get(key).unwrap(), 1);
            queue.push(&2).unwrap();
            assert_eq!(queue.pop().unwrap(), Some(2));
            let key = key.to_ne_bytes();
            per_cpu.update(&key, &values, any).unwrap();
            assert!(per_cpu.lookup_into(&key, &mut values, any).unwrap());
            assert!(per_cpu.delete(&key).unwrap());
        }
        let other = hash.clone();
        drop(other);
    });
    assert_eq!(taken, 0);
    // A walk takes what it needs once, not for each element.
    let mut keys = hash.keys();
    let taken = allocations(|| while keys.advance().unwrap().is_some() {});
    assert_eq!(taken, 0);
    // A batch takes no more than the kernel's place in the map.
    let mut batch = Batch::default();
    assert!(hash.batches().read_into(&mut batch).unwrap());
    let mut batches = hash.batches().room(500);
    let mut calls = 0;
    let taken = allocations(|| {
        while batches.read_into(&mut batch).unwrap() {
            calls += 1;
        }
    });
    assert!(taken <= calls + 1, "{taken} for {calls} calls");
}
