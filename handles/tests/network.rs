//! Attaching to the network on the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use common::{Group, can, count, counter, counting, load_for, root};
use purebpf_handles::attach::{Cgroup, Netfilter, Netns, Place, Sockmap, Tcx, Xdp};
use purebpf_handles::{Error, LinkDetails, Map, MapAttributes, Program};
use purebpf_insn::{AttachType, LinkType, MapType, ProgramType};

fn loopback_packet() {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    sender
        .send_to(b"x", receiver.local_addr().unwrap())
        .unwrap();
    receiver.recv(&mut [0; 8]).unwrap();
}

#[test]
fn xdp_on_loopback_sees_packets_and_can_be_replaced() {
    if !root() {
        return;
    }
    let (map, other) = (counter(), counter());
    let program = load_for(ProgramType::XDP, AttachType::XDP, counting(&map, 2));
    // Other packets may come by, so that only growth can be checked.
    let link = program.attach(Xdp::by_name("lo").unwrap()).unwrap();
    loopback_packet();
    assert_ne!(count(&map), 0);
    let loopback = purebpf_syscall::host::ifindex("lo").unwrap();
    assert_eq!(
        link.info().unwrap().details,
        LinkDetails::Xdp { ifindex: loopback }
    );
    let second = load_for(ProgramType::XDP, AttachType::XDP, counting(&other, 2));
    assert!(link.replace_program(&second, &second).is_err());
    link.replace_program(&second, &program).unwrap();
    loopback_packet();
    assert_ne!(count(&other), 0);
    link.update_program(&program).unwrap();
    // Where the kernel detaches itself, the link is still there to be asked.
    link.detach().unwrap();
    assert_eq!(
        link.info().unwrap().details,
        LinkDetails::Xdp { ifindex: 0 }
    );
    assert!(Xdp::by_name("no-such-device").is_err());
    let error = program.attach(Xdp::new(u32::MAX)).unwrap_err();
    assert!(error.errno().is_some(), "{error}");
}

#[test]
fn tcx_runs_programs_in_their_places() {
    if !root()
        || !can(
            purebpf_syscall::host::release().unwrap() >= (6, 6, 0),
            "tcx",
        )
    {
        return;
    }
    let maps = [counter(), counter(), counter()];
    let ingress = AttachType::TCX_INGRESS;
    // TCX_NEXT
    let programs = maps
        .each_ref()
        .map(|map| load_for(ProgramType::SCHED_CLS, ingress, counting(map, -1)));
    let point = || Tcx::by_name("lo").unwrap();
    let first = programs[0]
        .attach(point())
        .unwrap_or_else(|error| common::fail(&error));
    let before = Place::before(programs[0].id());
    let _second = programs[1].attach(point().place(before)).unwrap();
    let after = Place::last().next_to(&programs[1]).unwrap();
    let _third = programs[2].attach(point().place(after)).unwrap();
    loopback_packet();
    assert!(maps.iter().all(|map| count(map) != 0));
    let loopback = purebpf_syscall::host::ifindex("lo").unwrap();
    let found = purebpf_syscall::prog_query(
        purebpf_syscall::AttachPoint::Ifindex(loopback),
        ingress,
        0,
        purebpf_syscall::QueryMore {
            links: true,
            flags: false,
        },
    )
    .unwrap();
    let order: Vec<u32> = found.entries.iter().map(|entry| entry.program_id).collect();
    let ours = [1, 2, 0].map(|index: usize| programs[index].id().0);
    let order: Vec<u32> = order.into_iter().filter(|id| ours.contains(id)).collect();
    assert_eq!(order, ours);
    let entry = found
        .entries
        .iter()
        .find(|entry| entry.program_id == ours[2])
        .unwrap();
    assert_eq!(entry.link_id, first.id().unwrap().0);
    assert!(programs[0].attach(Tcx::new(0)).is_err());
}

#[test]
fn cgroup_program_decides_for_its_processes() {
    if !root() {
        return;
    }
    let Some(group) = Group::create() else { return };
    let map = counter();
    let program = load_for(
        ProgramType::CGROUP_SOCK,
        AttachType::CGROUP_INET_SOCK_CREATE,
        counting(&map, 0),
    );
    let socket = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop);
    let link = program
        .attach(Cgroup::new(&group.0))
        .unwrap_or_else(|error| common::fail(&error));
    socket().unwrap();
    group.enter(true);
    let refused = socket();
    link.detach().unwrap();
    let allowed = socket();
    group.enter(false);
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::PermissionDenied
    );
    allowed.unwrap();
    assert_eq!(count(&map), 1);
    let details = link.info().unwrap().details;
    assert!(
        matches!(details, LinkDetails::Cgroup { cgroup_id: 0, .. }),
        "{details:?}"
    );
    // By an fd, and of an opened program, which has to be told how.
    let opened = Program::from_id(program.id()).unwrap();
    let directory = || Cgroup::from_fd(File::open(&group.0).unwrap().into());
    assert!(matches!(
        opened.attach(directory()).unwrap_err(),
        Error::Invalid { .. }
    ));
    let how = AttachType::CGROUP_INET_SOCK_CREATE;
    let link = opened.attach(directory().attach_type(how)).unwrap();
    assert_eq!(link.info().unwrap().link_type, LinkType::CGROUP);
    let error = program.attach(Cgroup::new("/no/such/group")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open cgroup /no/such/group");
}

#[test]
fn socket_lookup_is_attached_to_a_name_space() {
    if !root() {
        return;
    }
    let map = counter();
    // SK_PASS
    let program = load_for(
        ProgramType::SK_LOOKUP,
        AttachType::SK_LOOKUP,
        counting(&map, 1),
    );
    let link = program
        .attach(Netns::current())
        .unwrap_or_else(|error| common::fail(&error));
    assert!(matches!(
        link.info().unwrap().details,
        LinkDetails::Netns { .. }
    ));
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    sender
        .send_to(b"x", receiver.local_addr().unwrap())
        .unwrap();
    receiver.recv(&mut [0; 8]).unwrap();
    assert_ne!(count(&map), 0);
}

#[test]
fn netfilter_hook_sees_packets() {
    if !root()
        || !can(
            purebpf_syscall::host::release().unwrap() >= (6, 4, 0),
            "netfilter links",
        )
    {
        return;
    }
    let map = counter();
    // NF_ACCEPT
    let program = load_for(
        ProgramType::NETFILTER,
        AttachType::NETFILTER,
        counting(&map, 1),
    );
    let target = Netfilter::new(2, 1).priority(-77);
    let link = program
        .attach(target)
        .unwrap_or_else(|error| common::fail(&error));
    loopback_packet();
    assert_ne!(count(&map), 0);
    let expected = LinkDetails::Netfilter {
        family: 2,
        hook: 1,
        priority: -77,
        flags: 0,
    };
    assert_eq!(link.info().unwrap().details, expected);
    link.detach().unwrap();
}

#[test]
fn sockmap_has_its_program() {
    if !root()
        || !can(
            purebpf_syscall::host::release().unwrap() >= (6, 10, 0),
            "sockmap links",
        )
    {
        return;
    }
    let map = Map::create(&MapAttributes::new(MapType::SOCKMAP, 4, 4, 1)).unwrap();
    let verdict = AttachType::SK_SKB_VERDICT;
    // SK_PASS
    let program = load_for(ProgramType::SK_SKB, verdict, counting(&counter(), 1));
    let link = program
        .attach(Sockmap::new(&map))
        .unwrap_or_else(|error| common::fail(&error));
    let expected = LinkDetails::Sockmap {
        map_id: map.id().0,
        attach_type: verdict,
    };
    assert_eq!(link.info().unwrap().details, expected);
}
