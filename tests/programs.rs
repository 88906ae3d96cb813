//! What a program prints and where it is from, types against the BTF of maps, pins of whole objects.

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

use std::io::Read;

use purebpf::handles::{Pinned, PinnedObject, TestRun, layout, pins};
use support::{lacks, open};

#[test]
fn what_a_program_prints_is_read_from_its_streams() {
    if !common::root() || !common::jit() || common::older_than(6, 18, "streams of programs") {
        return;
    }
    let object = purebpf::load(&open("streams.bpf.o")).unwrap();
    let program = object.program("prints").unwrap();
    let printed = program.test_run(&TestRun::new()).unwrap().return_value;
    if lacks(printed == 0, "a function to print") {
        return;
    }
    drop(object);
    let (mut out, mut errors) = (program.stdout(), program.stderr());
    let mut text = String::new();
    let mut start = [0; 3];
    out.read_exact(&mut start).unwrap();
    out.read_to_string(&mut text).unwrap();
    assert_eq!((&start, &*text), (b"out", " 1\n"));
    text.clear();
    errors.read_to_string(&mut text).unwrap();
    assert_eq!(text, "error 2\n");
    // What was read is gone, and what comes later is read later.
    assert_eq!(out.read(&mut start).unwrap(), 0);
    program.test_run(&TestRun::new()).unwrap();
    text.clear();
    program.stdout().read_to_string(&mut text).unwrap();
    assert_eq!(text, "out 1\n");
}

#[test]
fn a_program_knows_its_source_and_its_machine_code() {
    if !common::root() {
        return;
    }
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let (name, program) = object.programs().next().unwrap();
    let lines = program.source_lines().unwrap();
    let code = program.translated_instructions().unwrap();
    assert!(!lines.is_empty() && lines[0].instruction == 0, "{name}");
    assert!(lines.is_sorted_by_key(|line| line.instruction));
    for line in &lines {
        assert!(line.file.ends_with("globals.bpf.c"), "{line:?}");
        assert!((line.instruction as usize) < code.len() && line.line > 0);
    }
    assert!(lines.iter().any(|line| line.text.contains("calls++")));
    let functions = program.jited_functions().unwrap();
    let jited = program.jited_instructions().unwrap();
    if lacks(jited.is_empty(), "a JIT") {
        return;
    }
    assert_eq!(jited.len(), program.info().unwrap().jited_len as usize);
    let total: u32 = functions.iter().map(|function| function.len).sum();
    assert_eq!(total as usize, jited.len());
    assert!(functions.iter().all(|function| function.address != 0));
}

#[repr(C)]
struct Key {
    prefix_len: u32,
    address: u32,
}

#[repr(C)]
struct Value {
    packets: u64,
    bytes: u64,
}

/// The halves of the second field, and its name, are not what they are in the map.
#[repr(C)]
struct Other {
    packets: u64,
    bytes: u32,
    more: u32,
}

layout!(Key {
    prefix_len,
    address
});
layout!(Value { packets, bytes });
layout!(Other {
    packets,
    bytes,
    more
});

#[test]
fn a_type_that_differs_from_the_maps_is_named_by_its_field() {
    if !common::root() {
        return;
    }
    let map = purebpf::load(&open("maps.bpf.o")).unwrap();
    let map = map.map("hash").unwrap();
    map.check_layout::<Key, Value>().unwrap();
    map.check_layout::<u64, [u8; 16]>().unwrap();
    let error = map.check_layout::<Key, Other>().unwrap_err().to_string();
    assert_eq!(
        error,
        "map `hash`: a field of the value is `bytes`, 8 bytes at 8, expected `bytes`, 4 bytes at 8"
    );
    let error = map.check_layout::<Value, Value>().unwrap_err().to_string();
    assert_eq!(
        error,
        "map `hash`: a field of the key is no `packets`, expected `packets`, 8 bytes at 0"
    );
    let opened = purebpf::Map::from_id(map.id()).unwrap();
    assert!(opened.check_layout::<Key, Other>().is_err());
    // Nothing to compare with.
    let plain = common::counter();
    plain.check_layout::<u32, Other>().unwrap();
}

#[test]
fn a_whole_object_is_pinned_and_opened_again_by_name() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let directory = folder.path("app");
    object.pin(&directory).unwrap();
    let link = object.attach("compute").unwrap();
    link.pin(directory.join("link")).unwrap();
    let ids = |object: &purebpf::Object| -> Vec<u32> {
        let maps = object.maps().map(|(_, map)| map.id().0);
        maps.chain(object.programs().map(|(_, program)| program.id().0))
            .collect()
    };
    let mut expected = ids(&object);
    let variables = object.map(".bss").unwrap().name().to_owned();
    assert_eq!(variables, "globals.bss");
    drop((object, link));

    let opened = PinnedObject::open(&directory).unwrap();
    let maps = opened.maps().map(|map| map.id().0);
    let mut found: Vec<u32> = maps
        .chain(opened.programs().map(|program| program.id().0))
        .collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(opened.program("compute").unwrap().name(), "compute");
    let memory = opened.map(&variables).unwrap().memory().unwrap();
    assert!(memory.is_writable());
    assert!(opened.link("link").unwrap().info().is_ok());
    let error = opened.map("none").unwrap_err().to_string();
    assert!(error.starts_with("map `none` not found in"), "{error}");
    opened.unpin().unwrap();
    assert!(!directory.exists());
    assert!(PinnedObject::open(&directory).is_err());
}

#[test]
fn an_object_that_cannot_be_pinned_whole_leaves_nothing() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let directory = folder.path("app");
    // The program, which comes last, is pinned elsewhere.
    let program = object.program("compute").unwrap();
    program.pin(folder.path("elsewhere")).unwrap();
    object.pin(&directory).unwrap_err();
    assert!(!directory.exists());
    program.unpin().unwrap();
    object.pin(&directory).unwrap();
}

#[test]
fn all_that_is_pinned_below_a_directory_is_found() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let (first, second) = (common::counter(), common::counter());
    first.pin(folder.path("first")).unwrap();
    std::fs::create_dir_all(folder.path("a/b/empty")).unwrap();
    second.pin(folder.path("a/b/second")).unwrap();
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let program = object.program("compute").unwrap();
    program.pin(folder.path("a/program")).unwrap();
    let link = object.attach("compute").unwrap();
    link.pin(folder.path("a/b/link")).unwrap();
    std::os::unix::fs::symlink("first", folder.path("symbolic")).unwrap();
    let root = folder.path("");
    let mut found: Vec<String> = pins(&root)
        .map(|pin| {
            let (path, pinned) = pin.unwrap();
            let path = path.strip_prefix(&root).unwrap().display().to_string();
            match pinned {
                Pinned::Map(map) => format!("{path} map {}", map.id()),
                Pinned::Program(program) => format!("{path} program {}", program.id()),
                Pinned::Link(link) => format!("{path} link {}", link.id().unwrap()),
                other => panic!("{other:?}"),
            }
        })
        .collect();
    found.sort_unstable();
    let expected = [
        format!("a/b/link link {}", link.id().unwrap()),
        format!("a/b/second map {}", second.id()),
        format!("a/program program {}", program.id()),
        format!("first map {}", first.id()),
    ];
    assert_eq!(found, expected);
    let outside: Vec<_> = pins("/proc").collect();
    assert!(matches!(&outside[..], [Err(_)]), "{outside:?}");
}
