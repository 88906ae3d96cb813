//! What the kernel tells of programs behind fds of processes.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::File;
use std::os::fd::AsRawFd;

use common::attached::probe_modes;
use common::{counter, counting, fail, load, root, tracefs};
use purebpf_handles::Program;
use purebpf_handles::attach::{PerfEvent, RawTracepoint, Tracepoint, Uprobe};
use purebpf_handles::link::{TaskFd, TaskFdPlace};
use purebpf_insn::ProgramType;

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn purebpf_test_listed(number: u32) -> u32 {
    std::hint::black_box(number) + 1
}

/// What this process holds this program attached to.
fn places(program: &Program) -> Vec<TaskFdPlace> {
    let all = TaskFd::all().unwrap_or_else(|error| fail(&error));
    let ours = all
        .into_iter()
        .filter(|found| found.pid == std::process::id() && found.program == program.id());
    ours.map(|found| found.place).collect()
}

#[test]
fn tracepoints_are_listed_as_long_as_they_are_held() {
    if !root() || !tracefs() {
        return;
    }
    let program = load(ProgramType::TRACEPOINT, counting(&counter(), 0));
    let link = program.attach(Tracepoint::new("sched", "sched_process_exec"));
    let expected = TaskFdPlace::Tracepoint("sched_process_exec".to_owned());
    assert_eq!(places(&program), [expected]);
    link.unwrap().detach().unwrap();
    assert_eq!(places(&program), []);
    let program = load(ProgramType::RAW_TRACEPOINT, counting(&counter(), 0));
    let link = program.attach(RawTracepoint::new("sys_enter")).unwrap();
    let expected = TaskFdPlace::RawTracepoint("sys_enter".to_owned());
    assert_eq!(places(&program), [expected]);
    drop(link);
    assert_eq!(places(&program), []);
}

#[test]
fn probes_are_listed_with_their_place() {
    if !root() || !tracefs() {
        return;
    }
    let binary = std::env::current_exe().unwrap();
    assert_eq!(purebpf_test_listed(1), 2);
    for &mode in probe_modes() {
        for is_return in [false, true] {
            let program = load(ProgramType::KPROBE, counting(&counter(), 0));
            let target = Uprobe::new(binary.to_str().unwrap());
            let target = target.symbol("purebpf_test_listed").mode(mode);
            let target = target.retprobe(is_return);
            let _link = program.attach(target).unwrap();
            let found = places(&program);
            let [
                TaskFdPlace::Uprobe {
                    path,
                    offset,
                    retprobe,
                },
            ] = &found[..]
            else {
                panic!("{found:?}");
            };
            assert_eq!((path, *retprobe), (&binary, is_return));
            assert_ne!(*offset, 0);
        }
    }
}

#[test]
fn an_fd_without_a_program_at_a_place_is_not_listed() {
    if !root() {
        return;
    }
    let program = load(ProgramType::PERF_EVENT, counting(&counter(), 0));
    let clock = PerfEvent::software(0).period(1_000_000).pid(0);
    let _link = program.attach(clock).unwrap();
    assert_eq!(places(&program), []);
    let query = |fd: i32| {
        let fd = u32::try_from(fd).unwrap();
        TaskFd::query(std::process::id(), fd).unwrap()
    };
    let file = File::open("/dev/null").unwrap();
    let number = file.as_raw_fd();
    assert_eq!(query(number), None);
    drop(file);
    assert_eq!(query(i32::MAX), None);
    assert_eq!(TaskFd::query(u32::MAX >> 1, 0).unwrap(), None);
}
