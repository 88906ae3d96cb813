//! A process that is killed while it pins leaves the old pin or the new one, whole.

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

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use purebpf::handles::{MapAttributes, UpdateFlags};
use purebpf::{Map, MapType};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

const PIN: &str = "PUREBPF_TEST_PIN";
const READY: &str = "ready to be killed";
const KILLS: u64 = 200;

/// A map whose only element says that it was made whole.
fn map() -> Map {
    let map = Map::create(&MapAttributes::new(MapType::ARRAY, 4, 4, 1)).unwrap();
    map.update(&[0; 4], &[7; 4], UpdateFlags::ANY).unwrap();
    map
}

#[test]
#[ignore = "run and killed by the test below"]
fn victim() {
    let Some(pin) = std::env::var_os(PIN) else {
        return;
    };
    println!("{READY}");
    loop {
        map().pin_replacing(&pin).unwrap();
    }
}

/// The names beside the pin.
fn beside(pin: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(pin.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path != pin).collect()
}

#[test]
fn a_pin_that_is_replaced_is_the_old_or_the_new_whenever_its_process_is_killed() {
    if !common::root() {
        return;
    }
    let bpffs = common::FileSystem::mount("bpf");
    // Some kernels put files of their own into the root.
    let pin = bpffs.path("folder").join("pin");
    let first = map();
    first.pin(&pin).unwrap();
    let mut replaced = 0;
    for round in 0..KILLS {
        let before = Map::from_pin(&pin).unwrap().id();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["victim", "--exact", "--ignored", "--nocapture"])
            .env(PIN, &pin)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with(READY)));
        // Each microsecond is another point to be killed at.
        std::thread::sleep(Duration::from_micros(round * 37));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let found = Map::from_pin(&pin).unwrap();
        assert_eq!(
            found.lookup(&[0; 4], UpdateFlags::ANY).unwrap(),
            Some(vec![7; 4])
        );
        replaced += usize::from(found.id() != before);
    }
    let left = beside(&pin);
    println!(
        "{replaced} of {KILLS} had replaced it, {} left a name beside it",
        left.len()
    );
    assert!(replaced > 0);

    // What was left long ago is removed by whoever replaces the pin next.
    let long_ago = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: long_ago,
        last_modification: long_ago,
    };
    let fresh = pin.with_file_name("pin~1_0");
    map().pin(&fresh).unwrap();
    // Chosen by somebody, so that its age says nothing.
    let chosen = pin.with_file_name("pin~kept");
    map().pin(&chosen).unwrap();
    for path in left.iter().chain([&chosen]) {
        utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
    }
    map().pin_replacing(&pin).unwrap();
    let mut kept = beside(&pin);
    kept.sort();
    assert_eq!(kept, [fresh, chosen]);
}
