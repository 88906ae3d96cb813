//! No fd stays open: alone in its program, because others would open and close fds meanwhile.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::{Ipv4Addr, UdpSocket};

use common::attached::probe_modes;
use common::network::{NEAR, on_a_wire};
use common::{Group, attributes, counter, counting, load, load_for, open_fds, root, tracefs};
use purebpf_handles::attach::{
    Cgroup, CgroupMode, Kprobe, Lwt, Netns, PerfEvent, ProbeMode, RawTracepoint, Socket, Tc,
    TcParent, Tracepoint, Uprobe, Xdp,
};
use purebpf_handles::{Link, Map, Program, RingBuffer};
use purebpf_insn::{AttachType, MapType, ProgramType, build, opcode as op};

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
    on_a_wire(|_| without_links(&map));
}

/// What is attached without links, and what fails half-way.
fn without_links(map: &Map) {
    let xdp = load(ProgramType::XDP, counting(map, 2));
    let device = || Xdp::by_name(NEAR).unwrap().without_link();
    let link = xdp.attach(device()).unwrap();
    assert!(xdp.attach(device()).is_err());
    drop(link);
    let filter = load(ProgramType::SCHED_CLS, counting(map, 0));
    let parent = Tc::by_name(NEAR, TcParent::Ingress).unwrap();
    filter.attach(parent).unwrap().detach().unwrap();
    let out = load(ProgramType::LWT_OUT, counting(map, 0));
    let route = Lwt::by_name(Ipv4Addr::new(198, 18, 0, 0).into(), 24, NEAR).unwrap();
    let link = out.attach(&route).unwrap();
    assert!(out.attach(&route).is_err());
    drop(link);
    let how = AttachType::FLOW_DISSECTOR;
    let dissector = load_for(ProgramType::FLOW_DISSECTOR, how, counting(map, 0));
    let here = Netns::current().without_link();
    drop(dissector.attach(&here).unwrap());
    assert!(here.detach(&dissector).is_err());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let kept = load(ProgramType::SOCKET_FILTER, counting(map, 1));
    let socket = Socket::filter(&socket).unwrap();
    drop(kept.attach(&socket).unwrap());
    assert!(xdp.attach(&socket).is_err());
    if let Some(group) = Group::create() {
        let how = AttachType::CGROUP_INET_SOCK_CREATE;
        let program = load_for(ProgramType::CGROUP_SOCK, how, counting(map, 1));
        let point = Cgroup::new(&group.0).without_link(CgroupMode::Multi);
        drop(program.attach(&point).unwrap());
        assert!(xdp.attach(point.attach_type(how)).is_err());
    }
}
