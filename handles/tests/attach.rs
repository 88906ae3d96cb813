//! Tracepoints, perf events, and what links do, on the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::attached::{perf_details, runs_while_attached, told};
use common::{
    FileSystem, count, counter, counting, counting_here, kernel_type, load, load_traced, root,
    since, soon, tracefs,
};
use purebpf_btf::Kind;
use purebpf_handles::attach::{PerfEvent, RawTracepoint, Trace, Tracepoint};
use purebpf_handles::{Errno, Error, Link, LinkDetails, LinkId, Program};
use purebpf_insn::{AttachType, ProgramType};

fn process_id() {
    std::fs::read_link("/proc/self").unwrap();
}

#[test]
fn tracepoint_by_link_runs_the_program() {
    if !root() || !tracefs() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::TRACEPOINT, counting_here(&map));
    let target = Tracepoint::new("raw_syscalls", "sys_enter");
    runs_while_attached(&program, target, &map, process_id);
    let target = Tracepoint::new("raw_syscalls", "sys_exit");
    if !since(5, 15) {
        perf_details(&program.attach(&target).unwrap());
        // A cookie takes a link.
        let error = program.attach(target.cookie(5)).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        return;
    }
    let link = program.attach(target.cookie(5)).unwrap();
    let expected = LinkDetails::Tracepoint {
        name: "sys_exit".into(),
        cookie: told(5),
    };
    if let Some(details) = perf_details(&link) {
        assert_eq!(details, expected);
    }
}

#[test]
fn unknown_tracepoint_is_named() {
    if !root() || !tracefs() {
        return;
    }
    let program = load(ProgramType::TRACEPOINT, counting(&counter(), 0));
    let error = program
        .attach(Tracepoint::new("sched", "no_such_event"))
        .unwrap_err();
    assert!(matches!(&error, Error::NotFound { name, .. } if &**name == "sched/no_such_event"));
    for (category, event, nearest) in [
        ("sched", "sched_swich", "; there is `sched_switch`"),
        ("shed", "sched_switch", "; there is `sched`"),
    ] {
        let error = program
            .attach(Tracepoint::new(category, event))
            .unwrap_err();
        assert!(error.to_string().contains(nearest), "{error}");
    }
}

#[test]
fn raw_tracepoint_runs_the_program() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::RAW_TRACEPOINT, counting_here(&map));
    runs_while_attached(&program, RawTracepoint::new("sys_enter"), &map, process_id);
    let link = program.attach(RawTracepoint::new("sys_exit")).unwrap();
    let details = link.info().unwrap().details;
    assert_eq!(
        details,
        LinkDetails::RawTracepoint {
            name: "sys_exit".into(),
            cookie: 0
        }
    );
    let error = program.attach(RawTracepoint::new("no_such")).unwrap_err();
    let message = "program `test_program` at `no_such`: cannot attach it to its raw tracepoint";
    assert_eq!(error.to_string(), message);
    assert_eq!(error.errno(), Some(Errno::ENOENT));
}

#[test]
fn typed_tracepoint_is_attached_by_btf_id() {
    if !root() {
        return;
    }
    let Some(target) = kernel_type(Kind::Typedef, "btf_trace_sys_enter") else {
        return;
    };
    let map = counter();
    let program = load_traced(AttachType::TRACE_RAW_TP, target, counting_here(&map));
    runs_while_attached(&program, Trace::new(), &map, process_id);
    // Of an opened program the kernel does not tell how it is to be attached, and need not.
    let opened = Program::from_id(program.id()).unwrap();
    let link = opened.attach(Trace::new()).unwrap();
    // A typed tracepoint is a raw one to the kernel.
    let details = link.info().unwrap().details;
    assert_eq!(
        details,
        LinkDetails::RawTracepoint {
            name: "sys_enter".into(),
            cookie: 0
        }
    );
    let error = opened.attach(Trace::new().cookie(1)).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

fn spin() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(60) {
        std::hint::spin_loop();
    }
}

#[test]
fn clock_runs_the_program_by_link_and_by_ioctl() {
    if !root() {
        return;
    }
    let clock = || PerfEvent::software(0).period(1_000_000).pid(0);
    for target in [clock(), clock().by_ioctl()] {
        let map = counter();
        let program = load(ProgramType::PERF_EVENT, counting(&map, 0));
        // Time passes before the look at it, so the checks of the helper are too strict here.
        let link = program.attach(&target).unwrap();
        spin();
        assert!(count(&map) > 3, "{}", count(&map));
        link.detach().unwrap();
        let last = count(&map);
        spin();
        assert_eq!(count(&map), last);
        assert!(link.info().is_err());
    }
}

#[test]
fn opened_perf_event_stays_the_callers() {
    if !root() {
        return;
    }
    use purebpf_syscall::perf::{PerfEventOpen, PerfKind, Sampling, Wakeup, perf_event_open};
    let event = perf_event_open(&PerfEventOpen {
        kind: PerfKind::Event {
            event_type: 1,
            config: 0,
        },
        sampling: Sampling::Frequency(1000),
        sample_type: 0,
        wakeup: Wakeup::Half,
        pid: Some(0),
        cpu: None,
    })
    .unwrap();
    let map = counter();
    let program = load(ProgramType::PERF_EVENT, counting(&map, 0));
    let target = PerfEvent::from_fd(event);
    let with_cookie = target.clone().cookie(9);
    let link = match since(5, 15) {
        true => program.attach(&with_cookie).unwrap(),
        false => {
            let error = program.attach(&with_cookie).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            program.attach(&target).unwrap()
        }
    };
    spin();
    assert_ne!(count(&map), 0);
    if let Some(details) = perf_details(&link) {
        // The type is the number of the clock's own unit.
        let is_clock = matches!(details, LinkDetails::PerfEvent { config: 0, cookie, .. }
            if cookie == told(9));
        assert!(is_clock, "{details:?}");
    }
}

#[test]
fn pinned_link_stays_attached_without_handles() {
    if !root() {
        return;
    }
    let bpffs = FileSystem::mount("bpf");
    let map = counter();
    let program = load(ProgramType::RAW_TRACEPOINT, counting_here(&map));
    let path = bpffs.path("link");
    let link = program.attach(RawTracepoint::new("sys_enter")).unwrap();
    link.pin(&path).unwrap();
    let id = link.id().unwrap();
    assert!(link.is_pinned().unwrap());
    // The kernel detaches a raw tracepoint only when all is closed.
    assert!(matches!(link.detach().unwrap_err(), Error::Invalid { .. }));
    drop((link, program));
    let seen = count(&map);
    process_id();
    assert!(count(&map) > seen);
    let opened = Link::from_pin(&path).unwrap();
    assert_eq!((opened.id().unwrap(), opened.pin_path()), (id, Some(path)));
    assert!(opened.program().is_none());
    assert!(LinkId::all().any(|other| other.unwrap() == id));
    assert_eq!(Link::from_id(id).unwrap().id().unwrap(), id);
    opened.unpin().unwrap();
    opened.detach().unwrap();
    // Old kernels let go of what was pinned after a while.
    let stopped = || {
        let last = count(&map);
        process_id();
        count(&map) == last
    };
    assert!(soon(stopped));
    assert!(Link::from_fd(map.as_fd().try_clone_to_owned().unwrap()).is_err());
}

#[test]
fn pinned_perf_link_runs_on_when_handles_go() {
    if !root() || !tracefs() {
        return;
    }
    let bpffs = FileSystem::mount("bpf");
    let map = counter();
    let program = load(ProgramType::TRACEPOINT, counting_here(&map));
    let link = program
        .attach(Tracepoint::new("raw_syscalls", "sys_enter"))
        .unwrap();
    if !since(5, 15) {
        // It is a perf event, which cannot be pinned.
        let error = link.pin(bpffs.path("link")).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EINVAL));
        return;
    }
    link.pin(bpffs.path("link")).unwrap();
    drop(link);
    let seen = count(&map);
    process_id();
    assert!(count(&map) > seen);
    Link::from_pin(bpffs.path("link")).unwrap().unpin().unwrap();
}

#[test]
fn disconnected_link_stays_and_can_still_be_detached() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::RAW_TRACEPOINT, counting_here(&map));
    let link = program.attach(RawTracepoint::new("sys_enter")).unwrap();
    link.disconnect();
    let id = link.id().unwrap();
    drop(link);
    let seen = count(&map);
    process_id();
    assert!(count(&map) > seen);
    assert!(Link::from_id(id).is_ok());
}
