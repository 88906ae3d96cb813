//! Every mechanism to attach by: an event caused on purpose is seen, and none once it is detached.

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

use std::net::UdpSocket;
use std::time::Duration;

use purebpf::insn::LinkType;
use purebpf::{Link, Object, RingBuffer, attach};
use support::{fixture, getpgid, has_kprobes, lacks, open, wait_for};

/// The kinds of `attach.bpf.c`.
mod kind {
    pub(crate) const TRACEPOINT: u32 = 1;
    pub(crate) const RAW_TRACEPOINT: u32 = 2;
    pub(crate) const TP_BTF: u32 = 3;
    pub(crate) const KPROBE: u32 = 4;
    pub(crate) const KRETPROBE: u32 = 5;
    pub(crate) const UPROBE: u32 = 6;
    pub(crate) const URETPROBE: u32 = 7;
    pub(crate) const PERF_EVENT: u32 = 8;
    pub(crate) const XDP: u32 = 9;
    pub(crate) const CGROUP_SKB: u32 = 10;
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn purebpf_probed(value: u64) -> u64 {
    std::hint::black_box(value) + 1
}

/// The fixture with only this program, and the reader of its events.
fn load(program: &str) -> (Object, RingBuffer) {
    let mut spec = open("attach.bpf.o");
    spec.load_only([program]).unwrap();
    spec.set_global("target", std::process::id()).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let ring = RingBuffer::new(&object.map("events").unwrap()).unwrap();
    (object, ring)
}

/// Causes events until one of this kind is seen; then detaches and sees no more.
fn check(link: Link, mut ring: RingBuffer, kind: u32, cause: impl Fn()) {
    let is_kind = |record: &[u8]| record.starts_with(&kind.to_ne_bytes());
    let mut seen = false;
    for _ in 0..20 {
        cause();
        ring.wait(Some(Duration::from_millis(50))).unwrap();
        while let Some(record) = ring.next().unwrap() {
            assert_eq!(record.len(), 16);
            seen |= is_kind(&record);
        }
        if seen {
            break;
        }
    }
    assert!(seen, "no event of kind {kind}");
    drop(link);
    // What was on its way when it was detached.
    std::thread::sleep(Duration::from_millis(100));
    while ring.next().unwrap().is_some() {}
    for _ in 0..3 {
        cause();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(ring.next().unwrap().is_none(), "an event after detaching");
}

/// Attaches as the section says.
fn automatic(program: &str, kind: u32, cause: impl Fn()) {
    let (object, ring) = load(program);
    let link = object.attach(program).unwrap();
    drop(object);
    check(link, ring, kind, cause);
}

#[test]
fn tracepoint_sees_a_system_call() {
    if common::root() && common::tracefs() {
        automatic("on_tracepoint", kind::TRACEPOINT, getpgid);
    }
}

#[test]
fn raw_tracepoint_sees_a_system_call() {
    if common::root() {
        automatic("on_raw_tracepoint", kind::RAW_TRACEPOINT, getpgid);
    }
}

#[test]
fn tp_btf_sees_a_system_call() {
    if common::root() {
        automatic("on_tp_btf", kind::TP_BTF, getpgid);
    }
}

fn open_a_file() {
    drop(std::fs::File::open("/proc/self/status").unwrap());
}

#[test]
fn kprobe_sees_a_function_of_the_kernel() {
    if common::root() && has_kprobes() {
        automatic("on_kprobe", kind::KPROBE, open_a_file);
    }
}

#[test]
fn kretprobe_sees_it_return() {
    if common::root() && has_kprobes() {
        automatic("on_kretprobe", kind::KRETPROBE, open_a_file);
    }
}

#[test]
fn kprobe_by_tracefs_sees_a_function_of_the_kernel() {
    if common::root() && has_kprobes() && common::tracefs() {
        let (object, ring) = load("on_kprobe");
        let target = attach::Kprobe::new("vfs_open").mode(attach::ProbeMode::Legacy);
        let link = object.program("on_kprobe").unwrap().attach(target).unwrap();
        check(link, ring, kind::KPROBE, open_a_file);
    }
}

#[test]
fn uprobe_sees_a_function_of_this_program() {
    if common::root() {
        automatic("on_uprobe", kind::UPROBE, || {
            purebpf_probed(1);
        });
    }
}

#[test]
fn uretprobe_sees_it_return() {
    if common::root() {
        automatic("on_uretprobe", kind::URETPROBE, || {
            purebpf_probed(2);
        });
    }
}

#[test]
fn uprobe_by_hand_is_only_for_the_process_it_names() {
    if common::root() {
        let (object, ring) = load("on_uprobe");
        let target = attach::Uprobe::new("/proc/self/exe")
            .symbol("purebpf_probed")
            .pid(0);
        let link = object.program("on_uprobe").unwrap().attach(target).unwrap();
        check(link, ring, kind::UPROBE, || {
            purebpf_probed(3);
        });
    }
}

#[test]
fn perf_event_sees_time_go_by() {
    if common::root() {
        let (object, ring) = load("on_perf_event");
        let clock = attach::PerfEvent::software(0).period(1_000_000).cpu(0);
        let link = object
            .program("on_perf_event")
            .unwrap()
            .attach(clock)
            .unwrap();
        check(link, ring, kind::PERF_EVENT, || {
            // The clock of a CPU goes on even when nothing runs.
            std::thread::sleep(Duration::from_millis(10));
        });
    }
}

fn send_a_packet() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .send_to(b"purebpf", socket.local_addr().unwrap())
        .unwrap();
}

#[test]
fn xdp_sees_a_packet() {
    if common::root() {
        let (object, ring) = load("on_xdp");
        let target = attach::Xdp::by_name("lo").unwrap();
        let link = object.program("on_xdp").unwrap().attach(target).unwrap();
        check(link, ring, kind::XDP, send_a_packet);
    }
}

#[test]
fn cgroup_skb_sees_a_packet() {
    if !common::root() {
        return;
    }
    let Some(group) = common::Group::create() else {
        return;
    };
    let (object, ring) = load("on_cgroup_skb");
    let target = attach::Cgroup::new(&group.0);
    let link = object
        .program("on_cgroup_skb")
        .unwrap()
        .attach(target)
        .unwrap();
    check(link, ring, kind::CGROUP_SKB, || {
        group.enter(true);
        send_a_packet();
        group.enter(false);
    });
}

#[test]
fn fentry_and_fexit_see_a_function_of_the_kernel() {
    if !common::root() || !common::jit() {
        return;
    }
    let mut spec = open("fentry.bpf.o");
    spec.set_global("target", std::process::id()).unwrap();
    let object = match purebpf::load(&spec) {
        // Some kernels are built so that they refuse them to everybody, without a word.
        Err(error)
            if lacks(
                error.errno() == Some(1) && error.verifier_log().is_none(),
                "fentry",
            ) =>
        {
            return;
        }
        object => object.unwrap(),
    };
    let memory = object.map(".bss").unwrap().memory().unwrap();
    let links = object.attach_all().unwrap();
    assert_eq!(links.len(), 2);
    drop(object);
    // target, then padding, then entered and left.
    let counts = || [8, 16].map(|offset| memory.get::<u64>(offset).unwrap());
    open_a_file();
    let [entered, left] = counts();
    assert!(entered > 0 && left > 0, "{entered} {left}");
    drop(links);
    std::thread::sleep(Duration::from_millis(50));
    let before = counts();
    open_a_file();
    assert_eq!(counts(), before);
}

#[test]
fn sections_of_many_traced_functions_attach_by_themselves() {
    if !common::root() || !common::traces_many() || !common::jit() {
        return;
    }
    for program in ["on_fentry_multi", "on_fexit_multi_s", "on_fsession_multi"] {
        let mut spec = open("sections.bpf.o");
        spec.load_only([program]).unwrap();
        let link = purebpf::load(&spec).unwrap().attach(program).unwrap();
        assert_eq!(link.info().unwrap().link_type, LinkType::TRACING_MULTI);
    }
}

#[test]
fn attach_all_follows_the_section_names() {
    if !common::root() || !common::tracefs() {
        return;
    }
    let mut spec = open("attach.bpf.o");
    if !has_kprobes() {
        for name in ["on_kprobe", "on_kretprobe"] {
            spec.program_mut(name).unwrap().autoload = false;
        }
    }
    spec.program_mut("on_tp_btf").unwrap().autoattach = false;
    spec.set_global("target", std::process::id()).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let links = object.attach_all().unwrap();
    // Sections of perf_event, xdp and cgroup_skb do not say where.
    let expected = if has_kprobes() { 6 } else { 4 };
    assert_eq!(links.len(), expected);
    let mut ring = RingBuffer::new(&object.map("events").unwrap()).unwrap();
    getpgid();
    let is_first = |record: &[u8]| record.starts_with(&kind::TRACEPOINT.to_ne_bytes());
    assert!(wait_for(&mut ring, is_first));
}

#[test]
fn a_section_that_names_nothing_says_so() {
    if common::root() {
        let (object, _ring) = load("on_xdp");
        let error = object.attach("on_xdp").unwrap_err().to_string();
        assert_eq!(
            error,
            "program `on_xdp`: section `xdp` does not say what to attach it to; it takes a network \
             device (`attach::Xdp`)"
        );
    }
}

#[test]
fn an_attach_that_fails_undoes_what_came_before() {
    if !common::root() || !common::tracefs() {
        return;
    }
    let wanted = ["on_tracepoint", "on_uprobe"];
    // The uprobe's symbol is not in this file.
    let bytes = std::fs::read(fixture("attach.bpf.o")).unwrap();
    let broken = replace(&bytes, b":purebpf_probed", b":purebpf_nobody");
    let mut broken = purebpf::ObjectSpec::parse(broken).unwrap();
    broken
        .programs_mut()
        .for_each(|p| p.autoload = wanted.contains(&p.name.as_str()));
    broken.set_global("target", std::process::id()).unwrap();
    let object = purebpf::load(&broken).unwrap();
    let error = object.attach_all().unwrap_err();
    assert_eq!(error.program(), Some("on_uprobe"));
    let mut ring = RingBuffer::new(&object.map("events").unwrap()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    while ring.next().unwrap().is_some() {}
    getpgid();
    std::thread::sleep(Duration::from_millis(50));
    assert!(
        ring.next().unwrap().is_none(),
        "the tracepoint is still attached"
    );
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(old))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}
