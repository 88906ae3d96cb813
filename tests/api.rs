//! What the public API promises of itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use purebpf::handles::{MapAttributes, Memory, ProgramAttributes, Token};
use purebpf::plan::{DescribedKernel, Plan};
use purebpf::{
    BtfObject, Error, Link, Loader, Map, MapSpec, Object, ObjectSpec, Program, ProgramSpec,
    RingBuffer, RunningKernel,
};

fn is_handle<T: Clone + Send + Sync + 'static>() {}

fn can_move<T: Send + 'static>() {}

#[test]
fn handles_are_clone_send_sync_and_static() {
    is_handle::<Map>();
    is_handle::<Program>();
    is_handle::<Link>();
    is_handle::<BtfObject>();
    is_handle::<Token>();
    is_handle::<Object>();
    is_handle::<ObjectSpec>();
    is_handle::<MapSpec>();
    is_handle::<ProgramSpec>();
    is_handle::<Plan>();
    is_handle::<Loader>();
    is_handle::<RunningKernel>();
    is_handle::<DescribedKernel>();
    is_handle::<purebpf::handles::Global<u64>>();
    is_handle::<MapAttributes>();
    is_handle::<ProgramAttributes>();
    is_handle::<purebpf::handles::TypedMap<u32, u64>>();
    can_move::<RingBuffer>();
    can_move::<Memory>();
    can_move::<Error>();
}

/// Every `pub struct`, `pub enum` and `pub trait` with a lifetime in a crate's sources.
fn with_lifetimes(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            with_lifetimes(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let is_public = |line: &&str| {
            ["pub struct ", "pub enum ", "pub trait ", "pub type "]
                .iter()
                .any(|start| line.trim_start().starts_with(start))
        };
        let lines = text
            .lines()
            .filter(is_public)
            .filter(|line| line.contains("<'"));
        found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
    }
}

#[test]
fn no_public_type_of_handles_plan_and_loader_has_a_lifetime() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !sources.join("handles/src").exists() {
        println!("left out: the sources are not here");
        return;
    }
    let mut found = Vec::new();
    for name in ["handles", "plan", "loader"] {
        with_lifetimes(&sources.join(name).join("src"), &mut found);
    }
    // A record is the part of a buffer's memory that it keeps from being overwritten.
    let records = [
        "struct Record<'",
        "enum PerfRecord<'",
        "struct PerfSample<'",
        "struct Reservation<'",
    ];
    found.retain(|line| !records.iter().any(|record| line.contains(record)));
    assert_eq!(found, [""; 0]);
}
