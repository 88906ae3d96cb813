//! Every kind of map is created, used and torn down, and leaves nothing: one test, so that nothing else of
//! this process opens files meanwhile.

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

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use common::{attributes, map_address};
use nix::sys::socket::{self, sockopt};
use purebpf::handles::map::view::{
    Array, BloomFilter, CpuMap, DevMap, FdArray, Frame, MapOfMaps, PerCpuArray, Prefix,
    ProgramArray, Queue, Sockets, StackTraces, Storage,
};
use purebpf::handles::{
    Errno, KernelSymbols, MapAttributes, MapId, TestRun, UpdateFlags, UserRingBuffer,
};
use purebpf::insn::{Insn, build};
use purebpf::{
    AttachType, Map, MapType, Object, Program, ProgramType, RingBuffer, RunningKernel, attach,
};
use purebpf_syscall::perf::{PerfEventOpen, PerfKind, Sampling, Wakeup, perf_event_open};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use support::{lacks, open};

/// A kind of map, its name in `map_kinds.bpf.o`, and what is done with it.
type Row = (MapType, &'static str, fn(&Map));

const ROWS: [Row; 35] = [
    (MapType::HASH, "hash", hash),
    (MapType::ARRAY, "array", array),
    (MapType::PROG_ARRAY, "program_array", program_array),
    (
        MapType::PERF_EVENT_ARRAY,
        "perf_event_array",
        perf_event_array,
    ),
    (MapType::PERCPU_HASH, "per_cpu_hash", per_cpu_hash),
    (MapType::PERCPU_ARRAY, "per_cpu_array", per_cpu_array),
    (MapType::STACK_TRACE, "stack_trace", stack_trace),
    (MapType::CGROUP_ARRAY, "cgroup_array", cgroup_array),
    (MapType::LRU_HASH, "lru_hash", hash),
    (MapType::LRU_PERCPU_HASH, "lru_per_cpu_hash", per_cpu_hash),
    (MapType::LPM_TRIE, "lpm_trie", lpm_trie),
    (MapType::ARRAY_OF_MAPS, "array_of_maps", map_of_maps),
    (MapType::HASH_OF_MAPS, "hash_of_maps", map_of_maps),
    (MapType::DEVMAP, "devmap", devmap),
    (MapType::SOCKMAP, "sockmap", sockmap),
    (MapType::CPUMAP, "cpumap", cpumap),
    (MapType::XSKMAP, "xskmap", xskmap),
    (MapType::SOCKHASH, "sockhash", sockhash),
    (
        MapType::CGROUP_STORAGE,
        "cgroup_storage",
        storage_of_a_program,
    ),
    (
        MapType::REUSEPORT_SOCKARRAY,
        "reuseport_sockarray",
        reuseport,
    ),
    (
        MapType::PERCPU_CGROUP_STORAGE,
        "per_cpu_cgroup_storage",
        storage_of_a_program,
    ),
    (MapType::QUEUE, "queue", queue),
    (MapType::STACK, "stack", queue),
    (MapType::SK_STORAGE, "sk_storage", sk_storage),
    (MapType::DEVMAP_HASH, "devmap_hash", devmap),
    (MapType::STRUCT_OPS, "congestion", struct_ops),
    (MapType::RINGBUF, "ring_buffer", ring_buffer),
    (MapType::INODE_STORAGE, "inode_storage", inode_storage),
    (MapType::TASK_STORAGE, "task_storage", task_storage),
    (MapType::BLOOM_FILTER, "bloom_filter", bloom_filter),
    (MapType::USER_RINGBUF, "user_ring_buffer", user_ring_buffer),
    (
        MapType::CGRP_STORAGE,
        "cgroup_storage_of_now",
        cgroup_storage,
    ),
    (MapType::ARENA, "arena", arena),
    (MapType::INSN_ARRAY, "insn_array", insn_array),
    (MapType::RHASH, "rhash", hash),
];

fn create(name: &str) -> Object {
    let mut spec = open("map_kinds.bpf.o");
    spec.map_mut("arena").unwrap().map_extra = support::FREE_ADDRESS;
    spec.maps_mut()
        .for_each(|map| map.autocreate = map.name == name);
    purebpf::load(&spec).unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

/// Creates it, uses it and drops it; the ids of the maps that there were.
fn once(name: &str, used: fn(&Map)) -> Vec<MapId> {
    let object = create(name);
    let map = object.map(name).unwrap();
    let ids = object.maps().map(|(_, map)| map.id()).collect();
    drop(object);
    used(&map);
    ids
}

fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("bpf-map")).count()
}

/// Only by the list: who opens and closes a program array while the kernel is about to empty it makes it
/// stay for ever, since that is then to be done twice and is done once.
fn are_gone(ids: &[MapId]) -> bool {
    let mut there = MapId::all().map(Result::unwrap);
    !there.any(|id| ids.contains(&id))
}

#[test]
fn every_kind_of_map_is_created_used_and_torn_down() {
    if !common::root() {
        return;
    }
    let kernel = RunningKernel::get();
    let in_table = |kind| ROWS.iter().any(|(other, ..)| *other == kind);
    let mut rest = MapType::known().filter(|kind| !in_table(*kind));
    assert_eq!(rest.next(), Some(MapType::UNSPEC));
    assert_eq!(rest.next(), None, "a kind without a row");
    for (kind, name, used) in ROWS {
        let is_missing = kernel.has_map_type(kind) == Some(false);
        if lacks(is_missing, &format!("maps of type {kind}")) {
            continue;
        }
        assert_eq!(create(name).map(name).unwrap().map_type(), kind);
        // What is opened once in a process comes first.
        once(name, used);
        let before = (common::open_fds(), mappings());
        let ids: Vec<MapId> = (0..2).flat_map(|_| once(name, used)).collect();
        assert_eq!((common::open_fds(), mappings()), before, "{kind}");
        // The kernel frees them a moment later.
        assert!(common::soon(|| are_gone(&ids)), "{kind}");
    }
}

fn hash(map: &Map) {
    let hash = map.typed::<u32, u32>().unwrap();
    for key in 0..3 {
        hash.insert(&key, &(key + 10)).unwrap();
    }
    assert_eq!(hash.get(&2).unwrap(), Some(12));
    hash.update(&2, &5, UpdateFlags::EXIST).unwrap();
    assert_eq!(hash.iter().map(|it| it.unwrap().1).sum::<u32>(), 26);
    assert!(hash.remove(&2).unwrap());
    let batch = map.batches().next().unwrap().unwrap();
    assert_eq!((batch.count, batch.keys.len()), (2, 8));
    assert!(map.view::<Array<u32>>().is_err());
}

fn array(map: &Map) {
    let array: Array<u32> = map.view().unwrap();
    array.set(3, &7).unwrap();
    assert_eq!((array.get(3).unwrap(), array.len()), (7, 4));
    assert_eq!(array.iter().map(Result::unwrap).sum::<u32>(), 7);
    let error = array.get(4).unwrap_err().to_string();
    assert_eq!(error, "map `array`: the index is 4, expected less than 4");
    let memory = map.memory().unwrap();
    assert_eq!(memory.get::<u32>(24).unwrap(), 7);
    let error = map.view::<Array<u64>>().unwrap_err().to_string();
    assert_eq!(error, "map `array`: the value size is 4, expected 8");
    let error = map.view::<Queue<u32>>().unwrap_err().to_string();
    assert_eq!(
        error,
        "map `array`: its type is array, expected queue or stack"
    );
}

fn returning(value: i32) -> Vec<Insn> {
    vec![build::mov64_imm(0, value), build::exit()]
}

fn program_array(map: &Map) {
    let programs: ProgramArray = map.view().unwrap();
    let program = common::load(ProgramType::XDP, returning(2));
    programs.set(1, &program).unwrap();
    assert_eq!(programs.id(1).unwrap(), Some(program.id()));
    let id = program.id();
    drop(program);
    assert_eq!(programs.get(1).unwrap().unwrap().id(), id);
    assert!(programs.get(0).unwrap().is_none());
    assert!(programs.remove(1).unwrap() && !programs.remove(1).unwrap());
    assert!(programs.remove(2).is_err());
}

fn perf_event_array(map: &Map) {
    // `PERF_COUNT_SW_BPF_OUTPUT`
    let event = perf_event_open(&PerfEventOpen {
        kind: PerfKind::Event {
            event_type: 1,
            config: 10,
        },
        sampling: Sampling::Period(1),
        sample_type: 1 << 10,
        wakeup: Wakeup::Records(1),
        pid: None,
        cpu: Some(0),
    });
    let events: FdArray = map.view().unwrap();
    events.set(0, &event.unwrap()).unwrap();
    assert!(events.remove(0).unwrap() && !events.remove(0).unwrap());
    assert!(events.set(0, &File::open("/dev/null").unwrap()).is_err());
}

fn per_cpu_hash(map: &Map) {
    let hash = map.typed_per_cpu::<u32, u32>().unwrap();
    hash.insert_all(&1, &4).unwrap();
    let cpus = purebpf_syscall::host::possible_cpus().unwrap();
    assert_eq!(hash.get(&1).unwrap(), Some(vec![4; cpus]));
    assert_eq!(hash.get_cpu(&1, 0).unwrap(), Some(4));
    assert!(hash.remove(&1).unwrap());
    assert_eq!(hash.get_cpu(&1, 0).unwrap(), None);
}

fn per_cpu_array(map: &Map) {
    let array: PerCpuArray<u32> = map.view().unwrap();
    let cpus = purebpf_syscall::host::possible_cpus().unwrap() as u32;
    array.set(1, &(0..cpus).collect::<Vec<_>>()).unwrap();
    assert_eq!(array.get_cpu(1, cpus - 1).unwrap(), cpus - 1);
    array.set_all(1, &9).unwrap();
    assert!(array.get(1).unwrap().iter().all(|value| *value == 9));
    assert!(array.set_all(array.len(), &9).is_err());
    assert!(array.set(0, &[]).is_err());
}

fn stack_trace(map: &Map) {
    let [low, high] = map_address(2, map);
    // bpf_get_stackid
    let code = vec![
        low,
        high,
        build::mov64_imm(3, 0),
        build::call(27),
        build::exit(),
    ];
    let program = common::load(ProgramType::RAW_TRACEPOINT, code);
    let run = TestRun::new().context(&[0; 16]);
    let id = program.test_run(&run).unwrap().return_value;
    let traces: StackTraces = map.view().unwrap();
    assert_eq!(traces.ids().map(Result::unwrap).collect::<Vec<_>>(), [id]);
    let frames = traces.get(id).unwrap().unwrap();
    let symbols = KernelSymbols::read().unwrap();
    let names = frames.iter().filter_map(|frame| match frame {
        Frame::Address(address) => symbols.find(*address),
        Frame::BuildId { .. } => None,
    });
    let names: Vec<String> = names.map(|it| it.name).collect();
    // Somewhere below is the system call that ran the program.
    let is_call = |name: &String| name.contains("test_run") || name.contains("sys_bpf");
    assert!(names.iter().any(is_call), "{names:?}");
    assert!(traces.remove(id).unwrap());
    assert!(traces.get(id).unwrap().is_none());
}

/// The directory of the root of cgroups.
fn cgroup() -> Option<File> {
    let group = common::Group::create()?;
    let parent = group.0.parent().unwrap().to_owned();
    Some(File::open(parent).unwrap())
}

fn cgroup_array(map: &Map) {
    let groups: FdArray = map.view().unwrap();
    if let Some(group) = cgroup() {
        groups.set(0, &group).unwrap();
        assert!(groups.remove(0).unwrap());
    }
    assert!(groups.set(0, &File::open("/dev/null").unwrap()).is_err());
}

fn lpm_trie(map: &Map) {
    let trie = map.typed::<Prefix<4>, [u64; 2]>().unwrap();
    let address = |last| Prefix::new(32, [10, 0, 0, last]);
    trie.insert(&Prefix::new(8, [10, 0, 0, 0]), &[8, 0])
        .unwrap();
    trie.insert(&address(1), &[32, 0]).unwrap();
    let bits = |key: &Prefix<4>| trie.get(key).unwrap().map(|value| value[0]);
    assert_eq!((bits(&address(1)), bits(&address(2))), (Some(32), Some(8)));
    assert_eq!(bits(&Prefix::new(32, [11, 0, 0, 1])), None);
    assert_eq!(trie.keys().count(), 2);
    assert!(trie.remove(&address(1)).unwrap());
}

fn map_of_maps(map: &Map) {
    let outer: MapOfMaps<u32> = map.view().unwrap();
    let inner = Map::create(&MapAttributes::new(MapType::ARRAY, 4, 8, 1)).unwrap();
    outer.insert(&1, &inner).unwrap();
    let id = inner.id();
    drop(inner);
    assert_eq!(outer.id(&1).unwrap(), Some(id));
    let inner: Array<u64> = outer.get(&1).unwrap().unwrap().view().unwrap();
    inner.set(0, &3).unwrap();
    assert!(outer.get(&0).unwrap().is_none());
    let other = Map::create(&MapAttributes::new(MapType::ARRAY, 4, 4, 1)).unwrap();
    assert!(outer.insert(&1, &other).is_err());
    assert!(outer.remove(&1).unwrap());
    assert_eq!(inner.get(0).unwrap(), 3);
}

fn devmap(map: &Map) {
    let devices: DevMap = map.view().unwrap();
    devices.set(1, 1).unwrap();
    let found = devices.get(1).unwrap().unwrap();
    assert_eq!((found.number, found.program), (1, None));
    assert!(devices.get(0).unwrap().is_none());
    assert!(devices.set(1, 0x7fff_ffff).is_err());
    if map.value_size() == 8 {
        let code = attributes(ProgramType::XDP, returning(2));
        let program = Program::load(&purebpf::handles::ProgramAttributes {
            expected_attach_type: AttachType::XDP_DEVMAP,
            ..code
        });
        let program = program.unwrap();
        devices.set_with_program(1, 1, &program).unwrap();
        let found = devices.get(1).unwrap().unwrap();
        assert_eq!(found.program, Some(program.id()));
    }
    assert!(devices.remove(1).unwrap());
    assert!(devices.get(1).unwrap().is_none());
}

/// Two ends of a connection.
fn connection() -> [TcpStream; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    [client, listener.accept().unwrap().0]
}

fn sockmap(map: &Map) {
    let sockets: Sockets<u32> = map.view().unwrap();
    let [socket, _other] = connection();
    sockets.insert(&1, &socket, UpdateFlags::ANY).unwrap();
    let cookie = rustix::net::sockopt::socket_cookie(&socket).unwrap();
    assert_eq!(sockets.cookie(&1).unwrap(), Some(cookie));
    assert_eq!(sockets.cookie(&0).unwrap(), None);
    assert!(sockets.remove(&1).unwrap() && !sockets.remove(&1).unwrap());
    assert!(sockets.remove(&4).is_err());
}

fn sockhash(map: &Map) {
    let sockets: Sockets<u64> = map.view().unwrap();
    let [socket, _other] = connection();
    sockets.insert(&7, &socket, UpdateFlags::NOEXIST).unwrap();
    assert_eq!(map.keys().count(), 1);
    drop(socket);
    assert!(common::soon(|| map.keys().count() == 0));
    assert!(!sockets.remove(&7).unwrap());
}

fn reuseport(map: &Map) {
    let sockets: Sockets<u32> = map.view().unwrap();
    let socket: OwnedFd =
        rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    socket::setsockopt(&socket, sockopt::ReusePort, &true).unwrap();
    let any = "127.0.0.1:0".parse::<std::net::SocketAddrV4>().unwrap();
    rustix::net::bind(&socket, &any).unwrap();
    sockets.insert(&2, &socket, UpdateFlags::ANY).unwrap();
    assert!(sockets.cookie(&2).unwrap().is_some());
    let plain = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(sockets.insert(&2, &plain, UpdateFlags::ANY).is_err());
    assert!(sockets.remove(&2).unwrap() && !sockets.remove(&2).unwrap());
}

fn xskmap(map: &Map) {
    let sockets: Sockets<u32> = map.view().unwrap();
    let socket = rustix::net::socket(AddressFamily::XDP, SocketType::RAW, None).unwrap();
    // Newer kernels take only a socket that can receive.
    rustix::net::sockopt::set_xdp_rx_ring_size(&socket, 64).unwrap();
    sockets.insert(&0, &socket, UpdateFlags::ANY).unwrap();
    assert!(sockets.remove(&0).unwrap());
    let [other, _] = connection();
    assert!(sockets.insert(&0, &other, UpdateFlags::ANY).is_err());
    assert!(sockets.cookie(&0).is_err());
}

fn cpumap(map: &Map) {
    let cpus: CpuMap = map.view().unwrap();
    cpus.set(0, 64).unwrap();
    assert_eq!(cpus.get(0).unwrap().unwrap().number, 64);
    assert!(cpus.set(map.max_entries(), 64).is_err());
    cpus.remove(0).unwrap();
    assert!(cpus.get(0).unwrap().is_none());
}

/// The older storage of cgroups: a program that uses the map brings an element to the cgroup that it is
/// attached to.
fn storage_of_a_program(map: &Map) {
    let Some(group) = common::Group::create() else {
        return;
    };
    let [low, high] = map_address(1, map);
    // bpf_get_local_storage
    let code = vec![
        low,
        high,
        build::mov64_imm(2, 0),
        build::call(81),
        build::mov64_imm(0, 1),
        build::exit(),
    ];
    let how = AttachType::CGROUP_INET_EGRESS;
    let program = common::load_for(ProgramType::CGROUP_SKB, how, code);
    let link = program.attach(attach::Cgroup::new(&group.0)).unwrap();
    // The kernel's walk ended with a key more, of no element, until its commit 5828b9e5b272 ("bpf: fix
    // end-of-list detection in cgroup_storage_get_next_key()"), which Debian's 6.18 is older than.
    let keys = map.keys().map(Result::unwrap);
    let mut there = keys.filter_map(|key| {
        let value = map.lookup(&key, UpdateFlags::ANY).unwrap();
        value.map(|value| (key, value))
    });
    let (key, value) = there.next().unwrap();
    assert_eq!(there.next(), None);
    assert_eq!(value, vec![0; map.buffer_size()]);
    map.update(&key, &value, UpdateFlags::EXIST).unwrap();
    drop((link, group));
    assert!(common::soon(|| map.keys().count() == 0));
}

fn queue(map: &Map) {
    let queue: Queue<[u64; 2]> = map.view().unwrap();
    for value in 1..=4 {
        queue.push(&[value, 0]).unwrap();
    }
    assert_eq!(queue.push(&[5, 0]).unwrap_err().errno(), Some(Errno::E2BIG));
    queue.push_over(&[5, 0]).unwrap();
    let next = queue.peek().unwrap();
    let all: Vec<u64> = std::iter::from_fn(|| queue.pop().unwrap())
        .map(|value| value[0])
        .collect();
    let expected = match map.map_type() {
        MapType::QUEUE => [2, 3, 4, 5],
        _ => [5, 4, 3, 2],
    };
    assert_eq!((all, next), (expected.to_vec(), Some([expected[0], 0])));
}

fn bloom_filter(map: &Map) {
    let filter: BloomFilter<u32> = map.view().unwrap();
    filter.add(&77).unwrap();
    assert!(filter.may_contain(&77).unwrap());
    let others = (1000..1100).filter(|value| filter.may_contain(value).unwrap());
    assert!(others.count() < 50);
}

fn storage(map: &Map, of: &impl AsFd) {
    let storage: Storage<[u64; 2]> = map.view().unwrap();
    assert_eq!(storage.get(of).unwrap(), None);
    storage.set(of, &[1, 2]).unwrap();
    assert_eq!(storage.get(of).unwrap(), Some([1, 2]));
    assert!(storage.remove(of).unwrap());
    assert!(!storage.remove(of).unwrap());
}

fn sk_storage(map: &Map) {
    storage(map, &UdpSocket::bind("127.0.0.1:0").unwrap());
}

fn inode_storage(map: &Map) {
    storage(map, &File::open("/proc/self/exe").unwrap());
}

fn task_storage(map: &Map) {
    storage(map, &pidfd_open(getpid(), PidfdFlags::empty()).unwrap());
}

fn cgroup_storage(map: &Map) {
    if let Some(group) = cgroup() {
        storage(map, &group);
    }
}

fn struct_ops(map: &Map) {
    let state = map.lookup(&[0; 4], UpdateFlags::ANY).unwrap().unwrap();
    assert_eq!(state.len(), map.buffer_size());
    assert!(state.iter().all(|byte| *byte == 0), "it is not registered");
    assert!(map.value_size() > 16, "the kernel's own size");
}

fn ring_buffer(map: &Map) {
    let mut ring = RingBuffer::new(map).unwrap();
    let [low, high] = map_address(1, map);
    let code = vec![
        build::store_imm(purebpf::insn::opcode::DW, 10, -8, 7),
        build::mov64_reg(2, 10),
        build::add64_imm(2, -8),
        low,
        high,
        build::mov64_imm(3, 8),
        build::mov64_imm(4, 0),
        build::call(130),
        build::exit(),
    ];
    let program = common::load(ProgramType::RAW_TRACEPOINT, code);
    program.test_run(&TestRun::new().context(&[0; 16])).unwrap();
    assert_eq!(&*ring.next().unwrap().unwrap(), 7_u64.to_ne_bytes());
    assert!(ring.next().unwrap().is_none());
}

fn user_ring_buffer(map: &Map) {
    let mut ring = UserRingBuffer::new(map).unwrap();
    assert!(ring.send(&[1; 16]).unwrap());
    let mut record = ring.reserve(8).unwrap().unwrap();
    record.write(0, &[2; 8]).unwrap();
    record.submit();
}

fn arena(map: &Map) {
    let memory = map.memory().unwrap();
    memory.set(8, &5_u64).unwrap();
    let other = Map::from_id(map.id()).unwrap();
    assert_eq!(memory.clone().get::<u64>(8).unwrap(), 5);
    assert_eq!(other.map_extra(), memory.address());
}

fn insn_array(map: &Map) {
    assert!(map.lookup(&[0; 4], UpdateFlags::ANY).unwrap().is_some());
    assert_eq!(map.keys().count(), 2);
}
