//! Handles belong to whoever holds them: threads, futures, other modules; the object may be gone.

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

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use purebpf::handles::UpdateFlags;
use purebpf::{Map, MapType, Object};
use support::open;

fn load() -> Object {
    purebpf::load(&open("maps.bpf.o")).unwrap()
}

fn write(map: &Map, key: u32, value: u32) {
    map.update(&key.to_ne_bytes(), &value.to_ne_bytes(), UpdateFlags::ANY)
        .unwrap();
}

fn read(map: &Map, key: u32) -> Option<u32> {
    let value = map.lookup(&key.to_ne_bytes(), UpdateFlags::ANY).unwrap()?;
    Some(u32::from_ne_bytes(value.try_into().unwrap()))
}

#[test]
fn two_maps_are_written_in_turn_while_both_are_held() {
    if common::root() {
        let object = load();
        let (first, second) = (object.map("first").unwrap(), object.map("second").unwrap());
        write(&first, 0, 1);
        write(&second, 0, 2);
        assert_eq!((read(&first, 0), read(&second, 0)), (Some(1), Some(2)));
    }
}

#[test]
fn maps_go_on_in_threads_after_the_object_is_dropped() {
    if common::root() {
        let object = load();
        let map = object.map("lru").unwrap();
        drop(object);
        let threads: Vec<_> = (0..8u32)
            .map(|thread| {
                let map = map.clone();
                std::thread::spawn(move || {
                    write(&map, thread, thread * 10);
                    read(&map, thread)
                })
            })
            .collect();
        for (thread, handle) in (0..8u32).zip(threads) {
            assert_eq!(handle.join().unwrap(), Some(thread * 10));
        }
        assert_eq!(read(&map, 7), Some(70));
    }
}

async fn count_up(map: Map) -> Option<u32> {
    for value in 1..=3 {
        write(&map, 1, value);
        // Held across a point where the future may move to another thread.
        YieldOnce(false).await;
    }
    read(&map, 1)
}

struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn is_send<T: Send + 'static>(future: T) -> T {
    future
}

#[test]
fn a_map_in_a_future_goes_on_after_the_object_is_dropped() {
    if common::root() {
        let object = load();
        let future = is_send(count_up(object.map("lru").unwrap()));
        drop(object);
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let value = loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                break value;
            }
        };
        assert_eq!(value, Some(3));
    }
}

/// The same checks, whatever the map came from.
fn check(map: &Map, folder: &common::FileSystem, from: &str) {
    assert_eq!(map.map_type(), MapType::LRU_HASH, "{from}");
    assert_eq!(
        (map.key_size(), map.value_size(), map.max_entries()),
        (4, 4, 64),
        "{from}"
    );
    assert_eq!(map.name(), "lru", "{from}");
    assert_eq!(read(map, 5), Some(55), "{from}");
    write(map, 6, 66);
    assert_eq!(read(map, 6), Some(66), "{from}");
    assert!(map.delete(&6u32.to_ne_bytes()).unwrap(), "{from}");
    assert_eq!(map.info().unwrap().max_entries, 64, "{from}");
    // A map that was opened by its pin has that one already.
    let path = match map.pin_path() {
        Some(path) => path,
        None => {
            let path = folder.path(from);
            assert!(!map.is_pinned().unwrap(), "{from}");
            map.pin(&path).unwrap();
            path
        }
    };
    assert!(map.is_pinned().unwrap(), "{from}");
    assert_eq!(map.pin_path().as_deref(), Some(path.as_path()), "{from}");
    map.unpin().unwrap();
    assert!(!map.is_pinned().unwrap(), "{from}");
    assert!(!path.exists(), "{from}");
}

#[test]
fn a_map_is_the_same_by_object_id_pin_and_fd() {
    if common::root() {
        let folder = common::FileSystem::mount("bpf");
        let map = load().map("lru").unwrap();
        write(&map, 5, 55);
        check(&map, &folder, "object");
        check(&Map::from_id(map.id()).unwrap(), &folder, "id");
        map.pin(folder.path("shared")).unwrap();
        check(
            &Map::from_pin(folder.path("shared")).unwrap(),
            &folder,
            "pin",
        );
        use std::os::fd::AsFd as _;
        let fd = map.as_fd().try_clone_to_owned().unwrap();
        check(&Map::from_fd(fd).unwrap(), &folder, "fd");
    }
}

#[test]
fn a_spec_is_loaded_by_many_threads_at_once() {
    if common::root() {
        let spec = open("maps.bpf.o");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let spec = spec.clone();
                std::thread::spawn(move || purebpf::load(&spec).map(|o| o.programs().count()))
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap().unwrap(), 2);
        }
    }
}
