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

use purebpf::handles::map::view::{Array, MapOfMaps, ProgramArray};
use purebpf::handles::{
    MapAttributes, Memory, PinnedObject, ProgramAttributes, RunStatistics, Token,
};
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
    is_handle::<Array<u64>>();
    is_handle::<MapOfMaps<u32>>();
    is_handle::<ProgramArray>();
    is_handle::<PinnedObject>();
    is_handle::<RunStatistics>();
    is_handle::<purebpf::handles::program::ProgramStream>();
    can_move::<RingBuffer>();
    can_move::<Memory>();
    can_move::<Error>();
}

/// The lines of a crate's sources that this is true of, with their paths.
fn lines_of(folder: &Path, is_wanted: &dyn Fn(&str) -> bool, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lines_of(&path, is_wanted, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| is_wanted(line));
        found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
    }
}

/// Whether this is a `pub struct`, `pub enum` or `pub trait` with a lifetime.
fn has_lifetime(line: &str) -> bool {
    let is_public = ["pub struct ", "pub enum ", "pub trait ", "pub type "]
        .iter()
        .any(|start| line.trim_start().starts_with(start));
    is_public && line.contains("<'")
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
        lines_of(&sources.join(name).join("src"), &has_lifetime, &mut found);
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

#[test]
fn the_environment_is_read_only_to_find_binaries_by_name() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !sources.join("handles/src").exists() {
        println!("left out: the sources are not here");
        return;
    }
    let reads = |line: &str| {
        let is_test = line.contains("PUREBPF_REQUIRE_KERNEL");
        !is_test
            && ["env::var", "env::current_dir"]
                .iter()
                .any(|call| line.contains(call))
    };
    let mut found = Vec::new();
    for name in [
        "insn", "elf", "btf", "syscall", "handles", "plan", "loader", ".",
    ] {
        lines_of(&sources.join(name).join("src"), &reads, &mut found);
    }
    found.retain(|line| !line.contains("handles/src/attach/binary.rs"));
    assert_eq!(found, [""; 0]);
}

#[test]
fn no_unsafe_outside_syscall() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !sources.join("handles/src").exists() {
        println!("left out: the sources are not here");
        return;
    }
    let roots = ["insn", "elf", "btf", "handles", "plan", "loader", "."];
    let roots = roots.iter().map(|name| format!("{name}/src/lib.rs"));
    for root in roots.chain(["cli/src/main.rs".to_owned()]) {
        let text = std::fs::read_to_string(sources.join(&root)).unwrap();
        // With this the compiler takes no `unsafe impl Send` either.
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root}");
    }
}

#[test]
fn the_kernel_says_what_it_has() {
    let kernel = RunningKernel::get();
    if nix::unistd::geteuid().is_root() {
        assert_eq!(
            kernel.has_program_type(purebpf::ProgramType::XDP),
            Some(true)
        );
        assert_eq!(kernel.has_map_type(purebpf::MapType::ARRAY), Some(true));
        let helper = purebpf::insn::helpers::id("bpf_xdp_adjust_head").unwrap();
        let has = |ty| kernel.has_helper(ty, helper);
        assert_eq!(has(purebpf::ProgramType::XDP), Some(true));
        assert_eq!(has(purebpf::ProgramType::SOCKET_FILTER), Some(false));
    }
    // A type that nobody knows is neither there nor not.
    assert_eq!(kernel.has_map_type(purebpf::MapType(9999)), None);
    assert_eq!(kernel.has_program_type(purebpf::ProgramType(9999)), None);
    if Path::new("/sys/kernel/btf/vmlinux").exists() {
        assert_eq!(kernel.has_member("task_struct", "pid"), Some(true));
        assert_eq!(kernel.has_member("task_struct", "no_such"), Some(false));
        assert_eq!(kernel.has_member("no_such_struct", "pid"), Some(false));
        assert_ne!(kernel.has_function("no_such_function"), Some(true));
    }
}
