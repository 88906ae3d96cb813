//! No fd stays open: alone in its program, because others would open and close fds meanwhile.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::attached::probe_modes;
use common::{attributes, counter, counting, load, open_fds, root, tracefs};
use purebpf_handles::attach::{Kprobe, PerfEvent, ProbeMode, RawTracepoint, Tracepoint, Uprobe};
use purebpf_handles::{Link, Map, Program, RingBuffer};
use purebpf_insn::{MapType, ProgramType, build, opcode as op};

#[test]
fn nothing_stays_open() {
    if !root() || !tracefs() {
        return;
    }
    // What is opened once in a process comes first.
    every_thing();
    let before = open_fds();
    for _ in 0..3 {
        every_thing();
    }
    assert_eq!(open_fds(), before);
    assert!(!legacy_probe_is_there());
}

fn legacy_probe_is_there() -> bool {
    let probes = purebpf_handles::tracefs::root().join("uprobe_events");
    let probes = std::fs::read_to_string(probes).unwrap();
    probes.contains(&format!("purebpf_{}_", std::process::id()))
}

fn every_thing() {
    let map = counter();
    drop((Map::from_id(map.id()).unwrap(), map.memory().is_err()));
    assert!(Map::from_fd(std::fs::File::open("/dev/null").unwrap().into()).is_err());
    let bad = vec![build::load(op::DW, 0, 1, 0x7000), build::exit()];
    assert!(Program::load(&attributes(ProgramType::XDP, bad)).is_err());

    let raw = load(ProgramType::RAW_TRACEPOINT, counting(&map, 0));
    let link = raw.attach(RawTracepoint::new("sys_enter")).unwrap();
    drop(Link::from_id(link.id().unwrap()).unwrap());
    link.detach().unwrap();
    drop(link);
    assert!(raw.attach(RawTracepoint::new("no_such")).is_err());

    let tracepoint = load(ProgramType::TRACEPOINT, counting(&map, 0));
    let target = Tracepoint::new("sched", "sched_process_exec");
    drop(tracepoint.attach(&target).unwrap());
    // A program of the wrong type fails after the event is open.
    assert!(raw.attach(&target).is_err());

    let clock = load(ProgramType::PERF_EVENT, counting(&map, 0));
    drop(
        clock
            .attach(PerfEvent::software(0).period(1_000_000).pid(0).by_ioctl())
            .unwrap(),
    );

    let probe = load(ProgramType::KPROBE, counting(&map, 0));
    let binary = std::env::current_exe()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    for &mode in probe_modes() {
        let target = Uprobe::new(&binary).symbol("main").mode(mode);
        let link = probe.attach(&target).unwrap();
        assert_eq!(legacy_probe_is_there(), mode == ProbeMode::Legacy);
        drop(link);
        // Without a link there is no cookie, which shows after the event is open.
        let with_cookie = probe.attach(target.clone().cookie(1));
        assert_eq!(with_cookie.is_ok(), mode == ProbeMode::Link);
        assert!(raw.attach(&target).is_err());
        // What kprobes there are in the kernel is another matter.
        drop(probe.attach(Kprobe::new("proc_self_get_link").mode(mode)));
        drop(probe.attach(Kprobe::new("no_such_function").mode(mode)));
    }

    let attributes = purebpf_handles::MapAttributes::new(MapType::RINGBUF, 0, 0, 4096);
    drop(RingBuffer::new(&Map::create(&attributes).unwrap()).unwrap());
}
