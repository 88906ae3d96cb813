//! Handles belong to whoever holds them: threads, futures, other modules; the object may be gone. That a USDT
//! link outlives its object is in `usdt.rs`, that of a token in `token.rs`.

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
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use purebpf::handles::{BtfId, MapAttributes, MapInfo, UpdateFlags};
use purebpf::{BtfObject, Global, Link, Map, MapType, Object, Program, attach};
use support::{getpgid, open};

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
fn two_maps_both_written_at_the_same_time() {
    if !common::root() {
        return;
    }
    let object = load();
    let (first, second) = (object.map("first").unwrap(), object.map("second").unwrap());
    std::thread::scope(|scope| {
        for value in 0..100 {
            scope.spawn(|| write(&first, 0, 1));
            write(&second, 0, value);
            write(&first, 0, 1);
        }
    });
    assert_eq!((read(&first, 0), read(&second, 0)), (Some(1), Some(99)));
}

/// A module of a program, which knows nothing of the object and of the other one.
mod counters {
    use super::{Map, read, write};

    pub(crate) struct Counters(Map);

    impl Counters {
        pub(crate) fn new(map: Map) -> Self {
            Self(map)
        }

        pub(crate) fn add(&self, key: u32, count: u32) {
            write(&self.0, key, self.get(key) + count);
        }

        pub(crate) fn get(&self, key: u32) -> u32 {
            read(&self.0, key).unwrap_or(0)
        }
    }
}

/// Another module, which shares the map with the first.
mod limits {
    use super::{Map, read};

    #[derive(Clone)]
    pub(crate) struct Limits {
        pub(crate) counted: Map,
        pub(crate) most: u32,
    }

    impl Limits {
        pub(crate) fn is_over(&self, key: u32) -> bool {
            read(&self.counted, key).is_some_and(|count| count > self.most)
        }
    }
}

#[test]
fn each_module_of_a_program_owns_its_map_without_named_lifetimes() {
    if !common::root() {
        return;
    }
    let (counters, limits) = {
        let map = load().map("lru").unwrap();
        let limits = limits::Limits {
            counted: map.clone(),
            most: 5,
        };
        (counters::Counters::new(map), limits)
    };
    counters.add(1, 4);
    assert!(!limits.is_over(1));
    counters.add(1, 4);
    assert!(limits.clone().is_over(1));
    assert_eq!(counters.get(1), 8);
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

static SHARED: OnceLock<Map> = OnceLock::new();

#[test]
fn a_map_in_a_future_a_thread_a_static() {
    if !common::root() {
        return;
    }
    let map = SHARED.get_or_init(|| load().map("lru").unwrap());
    let future = is_send(count_up(map.clone()));
    let polled = std::thread::spawn(|| {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
        }
    });
    assert_eq!(polled.join().unwrap(), Some(3));
    let threads: Vec<_> = (2..10u32)
        .map(|key| {
            std::thread::spawn(move || {
                let map = SHARED.get().unwrap();
                write(map, key, key * 10);
                read(map, key)
            })
        })
        .collect();
    for (key, thread) in (2..10u32).zip(threads) {
        assert_eq!(thread.join().unwrap(), Some(key * 10));
    }
    assert_eq!(read(map, 9), Some(90));
}

#[test]
fn the_map_outlives_the_object() {
    if !common::root() {
        return;
    }
    let object = load();
    let (map, all) = (
        object.map("lru").unwrap(),
        object
            .maps()
            .map(|(_, map)| map.clone())
            .collect::<Vec<_>>(),
    );
    drop(object);
    write(&map, 7, 70);
    assert_eq!(read(&map, 7), Some(70));
    for map in all {
        let other = Map::from_id(map.id()).unwrap();
        assert_eq!(other.info().unwrap(), map.info().unwrap());
    }
}

/// The same calls, whatever the map came from; the answers are the result.
fn answers(map: &Map, folder: &common::FileSystem, from: &str) -> (MapInfo, [Option<u32>; 2]) {
    assert_eq!(map.name(), "lru", "{from}");
    let before = read(map, 5);
    write(map, 6, 66);
    let after = read(map, 6);
    assert!(map.delete(&6u32.to_ne_bytes()).unwrap(), "{from}");
    // A map that was opened by its pin has that one already.
    let path = match map.is_pinned().unwrap() {
        true => map.pin_path().unwrap(),
        false => {
            let path = folder.path(from);
            map.pin(&path).unwrap();
            path
        }
    };
    assert!(map.is_pinned().unwrap(), "{from}");
    assert_eq!(map.pin_path().as_deref(), Some(path.as_path()), "{from}");
    map.unpin().unwrap();
    assert!(!map.is_pinned().unwrap(), "{from}");
    assert_eq!(map.pin_path(), None, "{from}");
    assert!(!path.exists(), "{from}");
    let mut info = map.info().unwrap();
    assert_eq!((info.id, info.map_type), (map.id().0, map.map_type()));
    // What alone is its own: its number, and the types that the object's file says.
    (info.id, info.btf_id) = (0, 0);
    (info.btf_key_type_id, info.btf_value_type_id) = (0, 0);
    (info, [before, after])
}

#[test]
fn a_map_by_id_by_pin_by_fd_created_by_hand_the_same_methods_and_answers() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let map = load().map("lru").unwrap();
    let created = Map::create(&MapAttributes::new(MapType::LRU_HASH, 4, 4, 64).name("lru"));
    let created = created.unwrap();
    write(&map, 5, 55);
    write(&created, 5, 55);
    let expected = answers(&map, &folder, "object");
    assert_eq!(expected.1, [Some(55), Some(66)]);
    for map in [map, created] {
        let path = folder.path("shared");
        let opened = [
            ("itself", map.clone()),
            ("id", Map::from_id(map.id()).unwrap()),
            ("fd", Map::from_fd(map.try_clone_fd().unwrap()).unwrap()),
            ("pin", {
                map.pin(&path).unwrap();
                Map::from_pin(&path).unwrap()
            }),
        ];
        // The one opened by the pin takes it away, which the first has to notice.
        for (from, map) in opened.iter().rev() {
            assert_eq!(answers(map, &folder, from), expected, "{from}");
        }
    }
}

/// Code for maps that does not ask where they are from.
fn total(map: &Map) -> u32 {
    map.keys()
        .map(|key| read(map, u32::from_ne_bytes(key.unwrap().try_into().unwrap())).unwrap())
        .sum()
}

#[test]
fn generic_code_over_maps_from_anywhere() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let loaded = load().map("lru").unwrap();
    let created = Map::create(&MapAttributes::new(MapType::HASH, 4, 4, 8)).unwrap();
    loaded.pin(folder.path("map")).unwrap();
    let maps: Vec<Map> = vec![
        Map::from_id(created.id()).unwrap(),
        Map::from_pin(folder.path("map")).unwrap(),
        created.typed::<u32, u32>().unwrap().as_map().clone(),
        loaded,
        created,
    ];
    for (map, value) in maps.iter().zip(1..) {
        write(map, value, value);
    }
    let totals: Vec<u32> = maps.iter().map(total).collect();
    assert_eq!(totals, [1 + 3 + 5, 2 + 4, 9, 6, 9]);
}

/// Whether the program runs when it is attached.
fn runs(program: &Program, calls: &Global<u64>) -> bool {
    let before = calls.get();
    let link = program.attach(attach::RawTracepoint::new("sys_enter"));
    let link = link.unwrap();
    let ran = common::soon(|| {
        getpgid();
        calls.get() > before
    });
    drop(link);
    ran
}

#[test]
fn the_same_for_programs_attaching_included() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let program = object.program("compute").unwrap();
    let calls = object.global::<u64>("calls").unwrap();
    drop(object);
    let path = folder.path("program");
    program.pin(&path).unwrap();
    let fd = program.try_clone_fd().unwrap();
    let opened = [
        Program::from_id(program.id()).unwrap(),
        Program::from_pin(&path).unwrap(),
        Program::from_fd(fd).unwrap(),
        program.clone(),
    ];
    for other in &opened {
        assert_eq!((other.name(), other.tag()), ("compute", program.tag()));
        assert_eq!(other.map_ids().unwrap(), program.map_ids().unwrap());
        assert_eq!(other.program_type(), program.program_type());
        assert!(runs(other, &calls));
    }
    program.unpin().unwrap();
    assert!(!opened[1].is_pinned().unwrap());
    opened[0].pin(&path).unwrap();
    assert_eq!(Program::from_pin(&path).unwrap().id(), program.id());
}

#[test]
fn the_same_for_links_and_btf() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let program = object.program("compute").unwrap();
    let calls = object.global::<u64>("calls").unwrap();
    let link = object.attach("compute").unwrap();
    drop(object);
    let path = folder.path("link");
    link.pin(&path).unwrap();
    let info = link.info().unwrap();
    let opened = [
        Link::from_id(link.id().unwrap()).unwrap(),
        Link::from_pin(&path).unwrap(),
        Link::from_fd(link.try_clone_fd().unwrap()).unwrap(),
    ];
    for other in &opened {
        assert_eq!(other.info().unwrap(), info);
        // What the kernel does not tell.
        assert!(other.program().is_none());
    }
    assert_eq!(link.program().unwrap().id(), program.id());
    link.unpin().unwrap();
    drop(link);
    // Any of the others keeps it attached.
    let before = calls.get();
    assert!(common::soon(|| {
        getpgid();
        calls.get() > before
    }));
    drop(opened);

    let btf = BtfObject::from_id(BtfId(program.info().unwrap().btf_id)).unwrap();
    let other = BtfObject::from_fd(btf.try_clone_fd().unwrap()).unwrap();
    drop((btf, program));
    assert!(other.data().unwrap().starts_with(&0xeb9f_u16.to_ne_bytes()));
}

/// A part of a program that brings its object along.
struct Daemon {
    object: Object,
    calls: Global<u64>,
    links: Vec<Link>,
}

impl Daemon {
    fn start() -> Result<Self, purebpf::Error> {
        let object = purebpf::load(&open("globals.bpf.o"))?;
        Ok(Self {
            calls: object.global("calls")?,
            links: object.attach_all()?,
            object,
        })
    }
}

#[test]
fn an_object_stored_in_a_struct_returned_from_a_function() {
    if !common::root() {
        return;
    }
    let daemons = [Daemon::start().unwrap(), Daemon::start().unwrap()];
    let daemons: Vec<Box<Daemon>> = daemons.into_iter().map(Box::new).collect();
    for daemon in std::thread::spawn(move || daemons).join().unwrap() {
        assert!(common::soon(|| {
            getpgid();
            daemon.calls.get() > 0
        }));
        assert_eq!(
            (daemon.links.len(), daemon.object.programs().count()),
            (1, 1)
        );
    }
}

#[test]
fn drop_in_any_order() {
    if !common::root() {
        return;
    }
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let object = purebpf::load(&open("globals.bpf.o")).unwrap();
        let mut held: [Option<Box<dyn std::any::Any>>; 4] = [
            Some(Box::new(object.attach("compute").unwrap())),
            Some(Box::new(object.program("compute").unwrap())),
            Some(Box::new(object.map(".bss").unwrap())),
            None,
        ];
        let calls = object.global::<u64>("calls").unwrap();
        held[3] = Some(Box::new(object));
        for index in order {
            if held[0].is_some() {
                let before = calls.get();
                assert!(common::soon(|| {
                    getpgid();
                    calls.get() > before
                }));
            }
            held[index] = None;
        }
    }
}

fn is_the_same_fd(handle: impl AsFd, clone: impl AsFd, own: &OwnedFd) {
    let number = |fd: BorrowedFd<'_>| fd.as_raw_fd();
    assert_eq!(number(clone.as_fd()), number(handle.as_fd()));
    assert_ne!(number(own.as_fd()), number(handle.as_fd()));
    let flags = rustix::io::fcntl_getfd(own).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_clone_that_cannot_fail_and_costs_no_fd() {
    if !common::root() {
        return;
    }
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let (map, program) = (
        object.map(".bss").unwrap(),
        object.program("compute").unwrap(),
    );
    let link = object.attach("compute").unwrap();
    let btf = BtfObject::from_id(BtfId(program.info().unwrap().btf_id)).unwrap();
    is_the_same_fd(&map, map.clone(), &map.try_clone_fd().unwrap());
    is_the_same_fd(&program, program.clone(), &program.try_clone_fd().unwrap());
    is_the_same_fd(&link, link.clone(), &link.try_clone_fd().unwrap());
    is_the_same_fd(&btf, btf.clone(), &btf.try_clone_fd().unwrap());
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
