//! Every way of attaching: a program is attached and runs, or the kernel lacks the way and refuses it.
//! A line for each says which, for the table of kernels.

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
#[path = "support/ways.rs"]
mod ways;

use std::cell::OnceCell;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;

use common::cgroups::{KINDS, do_everything, inside};
use common::netkit::{NetkitPair, send_from};
use common::network::{FAR, NEAR, Wire, on_a_wire, packet_to_self};
use common::{FileSystem, Group, counting, counting_here, map_address};
use nix::sys::socket::{setsockopt, sockopt};
use purebpf::attach::{
    Cgroup, Iter, Kprobe, KprobeMulti, Lirc, Lwt, Netfilter, Netkit, Netns, PerfEvent,
    RawTracepoint, Socket, Sockmap, Tc, TcParent, Tcx, Trace, Tracepoint, TracingMulti, Uprobe,
    UprobeMulti, Xdp,
};
use purebpf::btf::Kind;
use purebpf::handles::map::view::{CpuMap, DevMap, Sockets};
use purebpf::handles::{MapAttributes, TestRun, UpdateFlags};
use purebpf::insn::{Insn, build};
use purebpf::{AttachType as How, Loader, Map, MapType, Program, ProgramType as Type};
use rustix::net::{AddressFamily, SocketType};
use support::{getpgid, number, open, variable};
use ways::{Trial, Ways, has_function};

#[test]
fn every_way_of_attaching_runs_a_program_or_is_refused() {
    if !common::root() || !common::tracefs() {
        return;
    }
    let Some(group) = Group::create() else { return };
    let mut ways = Ways::default();
    cgroups(&mut ways, &group);
    kernel_functions(&mut ways);
    user_functions(&mut ways);
    events(&mut ways);
    programs(&mut ways);
    sockets(&mut ways);
    on_a_wire(|wire| {
        devices(&mut ways, wire);
        name_space(&mut ways, wire);
        redirections(&mut ways, wire);
    });
    assert!(ways.left().is_empty(), "not tried: {:?}", ways.left());
}

fn cgroups(ways: &mut Ways, group: &Group) {
    for &(program_type, kinds, _) in KINDS {
        for &how in kinds {
            let trial = Trial::new(program_type, how, |map| counting(map, 1));
            ways.run(&trial, Cgroup::new(&group.0), || {
                inside(group, do_everything);
            });
        }
    }
    let trial = Trial::new(Type::LSM, How::LSM_CGROUP, |map| counting(map, 1));
    let trial = trial.on(Kind::Func, "bpf_lsm_socket_bind");
    let hit = || inside(group, packet_to_self);
    ways.run(
        &trial.unless(!is_security_module()),
        Cgroup::new(&group.0),
        hit,
    );
}

fn is_security_module() -> bool {
    let security = FileSystem::mount("securityfs");
    let modules = std::fs::read_to_string(security.path("lsm")).unwrap();
    modules.split(',').any(|module| module == "bpf")
}

/// A kernel that interprets programs cannot call them from its functions.
fn has_jit() -> bool {
    Path::new("/proc/sys/net/core/bpf_jit_enable").exists()
}

/// Runs whenever [`read_link`] does, and is not inlined.
const FUNCTION: &str = "proc_self_get_link";

fn read_link() {
    std::fs::read_link("/proc/self").unwrap();
}

fn kernel_functions(ways: &mut Ways) {
    let unit = Path::new("/sys/bus/event_source/devices/kprobe/type");
    let trial = Trial::of("kprobe", Type::KPROBE, counting_here).unless(!unit.exists());
    ways.run(&trial, Kprobe::new(FUNCTION), read_link);
    for how in [How::TRACE_KPROBE_MULTI, How::TRACE_KPROBE_SESSION] {
        let target = KprobeMulti::symbols([FUNCTION]).session(how == How::TRACE_KPROBE_SESSION);
        let trial = Trial::new(Type::KPROBE, how, counting_here);
        let is_lacking = !has_function("register_fprobe_ips");
        ways.run(&trial.unless(is_lacking), target, read_link);
    }
    for (program_type, how, function) in [
        (Type::TRACING, How::TRACE_FENTRY, FUNCTION),
        (Type::TRACING, How::TRACE_FEXIT, FUNCTION),
        (Type::TRACING, How::TRACE_FSESSION, FUNCTION),
        (Type::TRACING, How::MODIFY_RETURN, "security_inode_readlink"),
        (Type::LSM, How::LSM_MAC, "bpf_lsm_inode_readlink"),
    ] {
        let is_lacking = !has_jit() || (program_type == Type::LSM && !is_security_module());
        let trial = Trial::new(program_type, how, counting_here).on(Kind::Func, function);
        ways.run(&trial.unless(is_lacking), Trace::new(), read_link);
    }
    for how in [
        How::TRACE_FENTRY_MULTI,
        How::TRACE_FEXIT_MULTI,
        How::TRACE_FSESSION_MULTI,
    ] {
        let trial = Trial::new(Type::TRACING, how, counting_here);
        // Where ftrace finds the programs of all functions in one table.
        let is_lacking = cfg!(not(target_arch = "x86_64"));
        let target = TracingMulti::pattern("proc_sel?_get_link");
        ways.run(&trial.unless(is_lacking), target, read_link);
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn purebpf_place_of_ways(number: u32) -> u32 {
    std::hint::black_box(number) + 1
}

fn user_functions(ways: &mut Ways) {
    let place = "purebpf_place_of_ways";
    let call = || {
        std::hint::black_box(purebpf_place_of_ways(std::hint::black_box(1)));
    };
    let here = std::env::current_exe().unwrap();
    let here = here.to_str().unwrap();
    let trial = Trial::of("uprobe", Type::KPROBE, counting_here);
    ways.run(&trial, Uprobe::new(here).symbol(place), call);
    for how in [How::TRACE_UPROBE_MULTI, How::TRACE_UPROBE_SESSION] {
        let target = UprobeMulti::symbols(here, [place]);
        let trial = Trial::new(Type::KPROBE, how, counting_here);
        ways.run(
            &trial,
            target.session(how == How::TRACE_UPROBE_SESSION),
            call,
        );
    }
}

fn events(ways: &mut Ways) {
    let trial = Trial::of("tracepoint", Type::TRACEPOINT, counting_here);
    let target = Tracepoint::new("syscalls", "sys_enter_getpgid");
    ways.run(&trial, target, getpgid);
    let trial = Trial::of("raw_tracepoint", Type::RAW_TRACEPOINT, counting_here);
    ways.run(&trial, RawTracepoint::new("sys_enter"), getpgid);
    let trial = Trial::new(Type::TRACING, How::TRACE_RAW_TP, counting_here);
    let trial = trial.on(Kind::Typedef, "btf_trace_sys_enter");
    ways.run(&trial, Trace::new(), getpgid);
    let trial = Trial::new(Type::PERF_EVENT, How::PERF_EVENT, |map| counting(map, 0));
    let clock = PerfEvent::software(0).period(1_000_000).pid(0);
    ways.run(&trial, clock, getpgid);
    let trial = Trial::new(Type::TRACING, How::TRACE_ITER, |map| counting(map, 0));
    let trial = trial.on(Kind::Func, "bpf_iter_bpf_map");
    let attach = || Ok(Some(Program::load(&trial.program)?.attach(Iter::new())?));
    ways.run_by(&trial, attach, |link| {
        let mut walk = link.unwrap().iterate().unwrap();
        walk.read_to_end(&mut Vec::new()).unwrap();
    });
    let trial = Trial::new(Type::LIRC_MODE2, How::LIRC_MODE2, |map| counting(map, 0));
    let is_lacking = !has_function("lirc_prog_attach");
    ways.run(&trial.unless(is_lacking), Lirc::new("/dev/lirc0"), getpgid);
}

/// Programs that take the place of functions, of programs and of the kernel's.
fn programs(ways: &mut Ways) {
    let mut spec = open("replace.bpf.o");
    spec.load_only(["classifies"]).unwrap();
    let judged = purebpf::load(&spec).unwrap().program("classifies").unwrap();
    let class = || {
        let run = TestRun::new().data(&[0; 64]);
        judged.test_run(&run).unwrap().return_value.into()
    };
    let attach = || {
        let mut spec = open("replace.bpf.o");
        spec.load_only(["replacement"])?;
        let object = Loader::new().target("replacement", &judged).load(&spec)?;
        object.attach("replacement").map(Some)
    };
    ways.run_seen("extension", !has_jit(), class, attach, |_| ());

    let spec = open("struct_ops.bpf.o");
    let object = OnceCell::new();
    let calls = || {
        let object = object.get();
        object.map_or(0, |object| {
            number(&variable(object, &spec, ".bss", "calls"))
        })
    };
    let attach = || {
        let loaded = purebpf::load(&spec)?;
        object
            .get_or_init(|| loaded)
            .attach_all()
            .map(|mut links| links.pop())
    };
    ways.run_seen("struct_ops", !has_jit(), calls, attach, |_| {
        support::carry_a_connection("purebpf_plain");
    });
}

/// Two ends of a connection, the first of which joins a map.
struct Connection {
    map: Map,
    near: TcpStream,
    far: TcpStream,
}

impl Connection {
    fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let map = Map::create(&MapAttributes::new(MapType::SOCKMAP, 4, 4, 1)).unwrap();
        Self { map, near, far }
    }

    /// Something is said in both directions. A socket has the programs that its map had when it joined.
    fn talk(&self) {
        let sockets: Sockets<u32> = self.map.view().unwrap();
        sockets.insert(&0, &self.near, UpdateFlags::ANY).unwrap();
        for mut end in [&self.near, &self.far] {
            end.write_all(b"x").unwrap();
        }
    }
}

fn sockets(ways: &mut Ways) {
    // SK_PASS
    let code = |map: &Map| counting(map, 1);
    for (program_type, how) in [
        (Type::SK_MSG, How::SK_MSG_VERDICT),
        (Type::SK_SKB, How::SK_SKB_VERDICT),
        (Type::SK_SKB, How::SK_SKB_STREAM_VERDICT),
    ] {
        let connection = Connection::open();
        let trial = Trial::new(program_type, how, code);
        let target = Sockmap::new(&connection.map);
        ways.run(&trial, target, || connection.talk());
    }
    let connection = Connection::open();
    let target = || Sockmap::new(&connection.map);
    let verdict = Trial::new(Type::SK_SKB, How::SK_SKB_STREAM_VERDICT, code);
    let verdict = Program::load(&verdict.program).unwrap();
    // What is parsed is for a verdict.
    let _verdict = verdict.attach(target()).unwrap();
    let trial = Trial::new(Type::SK_SKB, How::SK_SKB_STREAM_PARSER, code);
    ways.run(&trial, target(), || connection.talk());

    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let trial = Trial::of("socket_filter", Type::SOCKET_FILTER, code);
    let hit = || send_to(&receiver);
    ways.run(&trial, Socket::filter(&receiver).unwrap(), hit);
    for how in [
        How::SK_REUSEPORT_SELECT,
        How::SK_REUSEPORT_SELECT_OR_MIGRATE,
    ] {
        let any = Ipv4Addr::LOCALHOST.into();
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
        rustix::net::bind(&socket, &SocketAddr::new(any, 0)).unwrap();
        let socket = UdpSocket::from(socket);
        let trial = Trial::new(Type::SK_REUSEPORT, how, code);
        ways.run(&trial, Socket::reuseport(&socket).unwrap(), || {
            send_to(&socket);
        });
    }
}

fn send_to(receiver: &UdpSocket) {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = receiver.local_addr().unwrap();
    sender.send_to(b"x", address).unwrap();
}

fn devices(ways: &mut Ways, wire: &Wire) {
    // XDP_PASS
    let trial = Trial::new(Type::XDP, How::XDP, |map| counting(map, 2));
    ways.run(&trial, Xdp::by_name(NEAR).unwrap(), || wire.receive());
    // TC_ACT_UNSPEC
    let code = |map: &Map| counting(map, -1);
    let both = || {
        wire.send();
        wire.receive();
    };
    for how in [How::TCX_INGRESS, How::TCX_EGRESS] {
        let target = Tcx::by_name(NEAR).unwrap().attach_type(how);
        ways.run(&Trial::new(Type::SCHED_CLS, how, code), target, both);
    }
    let pair = NetkitPair::create();
    let ends = [How::NETKIT_PRIMARY, How::NETKIT_PEER];
    for (end, how) in ends.into_iter().enumerate() {
        let trial = Trial::new(Type::SCHED_CLS, how, code).unless(pair.is_none());
        // Without such devices the other wire has to do, for a refusal.
        let [primary, sender] = match &pair {
            Some(pair) => [&*pair.primary, [&*pair.primary, &*pair.peer][end]],
            None => [NEAR; 2],
        };
        let target = Netkit::by_name(primary).unwrap().attach_type(how);
        ways.run(&trial, target, || send_from(sender));
    }
    for (way, parent) in [
        ("tc, ingress", TcParent::Ingress),
        ("tc, egress", TcParent::Egress),
    ] {
        let trial = Trial::of(way, Type::SCHED_CLS, code);
        ways.run(&trial, Tc::by_name(NEAR, parent).unwrap(), both);
    }
}

fn name_space(ways: &mut Ways, wire: &Wire) {
    // SK_PASS, NF_ACCEPT
    let code = |map: &Map| counting(map, 1);
    let trial = Trial::new(Type::SK_LOOKUP, How::SK_LOOKUP, code);
    ways.run(&trial, Netns::current(), packet_to_self);
    let trial = Trial::new(Type::NETFILTER, How::NETFILTER, code);
    ways.run(&trial, Netfilter::new(2, 1), packet_to_self);
    // BPF_OK
    let code = |map: &Map| counting(map, 0);
    // The hash of a packet is made of what the dissector finds; this asks for a new one.
    let hash = [
        build::mov64_reg(6, 1),
        build::call(41),
        build::mov64_reg(1, 6),
        build::call(34),
        build::mov64_imm(0, 0),
        build::exit(),
    ];
    let hash = common::load(Type::SCHED_CLS, hash.to_vec());
    let egress = Tc::by_name(NEAR, TcParent::Egress).unwrap();
    let _hash = hash.attach(egress).unwrap();
    let trial = Trial::new(Type::FLOW_DISSECTOR, How::FLOW_DISSECTOR, code);
    ways.run(&trial, Netns::current(), || wire.send());
    // Two of the addresses that are kept for tests.
    let [away, here] = [1, 2].map(|end| IpAddr::from([198, 18, 0, end]));
    let from_near = Lwt::by_name(away, 24, NEAR).unwrap();
    let to_self = Lwt::by_name(here, 32, "lo").unwrap().local();
    for (way, program_type, target, address) in [
        ("lwt_out", Type::LWT_OUT, &from_near, away),
        ("lwt_xmit", Type::LWT_XMIT, &from_near, away),
        ("lwt_in", Type::LWT_IN, &to_self, here),
    ] {
        ways.run(&Trial::of(way, program_type, code), target, || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            drop(socket.send_to(b"x", (address, 9)));
        });
    }
}

/// Sends packets on by an element of a map.
fn redirecting(map: &Map) -> Vec<Insn> {
    let [low, high] = map_address(1, map);
    // bpf_redirect_map
    vec![
        low,
        high,
        build::mov64_imm(2, 0),
        build::mov64_imm(3, 0),
        build::call(51),
        build::exit(),
    ]
}

/// Programs of elements of maps: they see packets that another program sends on there.
fn redirections(ways: &mut Ways, wire: &Wire) {
    let near = purebpf_syscall::host::ifindex(NEAR).unwrap();
    // A wire takes what is sent on if its other end has a program.
    let passing = common::load_for(
        Type::XDP,
        How::XDP,
        vec![build::mov64_imm(0, 2), build::exit()],
    );
    let far = || passing.attach(Xdp::by_name(FAR).unwrap()).unwrap();
    let _far = wire.at_the_far_end(far);
    for (map_type, how) in [
        (MapType::DEVMAP, How::XDP_DEVMAP),
        (MapType::CPUMAP, How::XDP_CPUMAP),
    ] {
        let map = Map::create(&MapAttributes::new(map_type, 4, 8, 1)).unwrap();
        let trial = Trial::new(Type::XDP, how, |map| counting(map, 2));
        let redirects = common::load_for(Type::XDP, How::XDP, redirecting(&map));
        let _redirects = redirects.attach(Xdp::by_name(NEAR).unwrap()).unwrap();
        let attach = || {
            let program = Program::load(&trial.program)?;
            match how {
                How::XDP_DEVMAP => map.view::<DevMap>()?.set_with_program(0, near, &program)?,
                _ => map.view::<CpuMap>()?.set_with_program(0, 64, &program)?,
            }
            Ok(None)
        };
        ways.run_by(&trial, attach, |_| wire.receive());
    }
}
