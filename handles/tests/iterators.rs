//! Iterators on the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, mpsc};

use common::{Group, count, counter, counting, kernel_type, load_traced, older_than, root, since};
use purebpf_btf::Kind;
use purebpf_handles::attach::Iter;
use purebpf_handles::{IterDetails, Link, LinkDetails, Map, MapAttributes, Program};
use purebpf_insn::{AttachType, MapType};

/// A program that counts what it is called for; `None`, said, if the kernel has no such iterator.
fn counting_each(kind: &str, map: &Map) -> Option<Program> {
    let target = kernel_type(Kind::Func, &format!("bpf_iter_{kind}"))?;
    Some(load_traced(
        AttachType::TRACE_ITER,
        target,
        counting(map, 0),
    ))
}

fn attach(program: &Program, target: Iter) -> Link {
    program
        .attach(target)
        .unwrap_or_else(|error| common::fail(&error))
}

/// How many objects there are on one walk: the program is called for each, and once at the end.
fn walk(link: &Link, map: &Map) -> u64 {
    let before = count(map);
    let mut text = String::new();
    link.iterate().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.is_empty());
    count(map) - before - 1
}

#[test]
fn iterator_is_read_again_and_again() {
    if !root() {
        return;
    }
    let map = counter();
    let Some(program) = counting_each("bpf_map", &map) else {
        return;
    };
    let link = attach(&program, Iter::new());
    for _ in 0..2 {
        assert_ne!(walk(&link, &map), 0);
    }
    let details = link.info().unwrap().details;
    let expected = LinkDetails::Iter {
        target_name: "bpf_map".into(),
        of: IterDetails::All,
    };
    assert_eq!(details, expected);
}

#[test]
fn elements_of_one_map_are_walked() {
    if !root() || older_than(5, 9, "iterators of elements") {
        return;
    }
    let map = counter();
    let Some(program) = counting_each("bpf_map_elem", &map) else {
        return;
    };
    for entries in [3, 7] {
        let walked = Map::create(&MapAttributes::new(MapType::ARRAY, 4, 8, entries)).unwrap();
        let link = attach(&program, Iter::map(&walked));
        if since(5, 10) {
            let details = link.info().unwrap().details;
            let of = IterDetails::Map {
                map_id: walked.id().0,
            };
            assert!(matches!(details, LinkDetails::Iter { of: found, .. } if found == of));
        }
        drop(walked);
        assert_eq!(walk(&link, &map), u64::from(entries));
    }
    let error = program.attach(Iter::new()).unwrap_err();
    assert!(error.errno().is_some(), "{error}");
}

#[test]
fn threads_of_one_process_are_walked() {
    if !root() || older_than(6, 1, "iterators of one process") {
        return;
    }
    let map = counter();
    let Some(program) = counting_each("task", &map) else {
        return;
    };
    let tid = std::fs::read_link("/proc/thread-self").unwrap();
    let tid = tid.file_name().unwrap().to_str().unwrap().parse().unwrap();
    assert_eq!(walk(&attach(&program, Iter::thread(tid)), &map), 1);
    let (stop, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    for _ in 0..3 {
        let wait = Arc::clone(&wait);
        std::thread::spawn(move || wait.lock().unwrap().recv());
    }
    let own = walk(&attach(&program, Iter::process(std::process::id())), &map);
    let all = walk(&attach(&program, Iter::new()), &map);
    drop(stop);
    // Other tests have threads as well.
    assert!(own >= 4 && own < all, "{own} of {all}");
}

#[test]
fn cgroups_below_one_are_walked() {
    if !root() || older_than(6, 1, "iterators of cgroups") {
        return;
    }
    let Some(group) = Group::create() else { return };
    let child = group.0.join("child");
    std::fs::create_dir(&child).unwrap();
    let map = counter();
    let program = counting_each("cgroup", &map);
    let walks = program.map(|program| {
        [1, 2, 3].map(|order| {
            let directory = File::open(&group.0).unwrap().into();
            walk(&attach(&program, Iter::cgroup(directory, order)), &map)
        })
    });
    std::fs::remove_dir(&child).unwrap();
    if let Some(walks) = walks {
        assert_eq!(walks, [1, 2, 2]);
    }
}
