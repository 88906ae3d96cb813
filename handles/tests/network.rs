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
use std::os::fd::AsFd;
use std::time::Duration;

use common::netkit::{NetkitPair, send_from};
use common::{Group, count, counter, counting, load_for, older_than, root};
use purebpf_handles::attach::{Cgroup, Netfilter, Netkit, Netns, Place, Sockmap, Tcx, Xdp};
use purebpf_handles::{Errno, Error, LinkDetails, Map, MapAttributes, Program};
use purebpf_insn::{AttachType, LinkType, MapType, ProgramType};
use purebpf_syscall::{AttachPoint, QueryEntry, QueryMore, prog_query};

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

/// Ids of the programs at an attach point, in their order, each with that of its link if asked for.
fn attached(point: AttachPoint<'_>, how: AttachType, links: bool) -> Vec<(u32, u32)> {
    let more = QueryMore {
        links,
        flags: false,
    };
    let found = prog_query(point, how, 0, more).unwrap();
    let ids = |entry: QueryEntry| (entry.program_id, entry.link_id);
    found.entries.into_iter().map(ids).collect()
}

#[test]
fn tcx_runs_programs_in_their_places() {
    if !root() || older_than(6, 6, "tcx") {
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
    let second = programs[1].attach(point().place(before)).unwrap();
    let after = Place::last().next_to(&programs[1]).unwrap();
    let third = programs[2].attach(point().place(after)).unwrap();
    loopback_packet();
    assert!(maps.iter().all(|map| count(map) != 0));
    let loopback = purebpf_syscall::host::ifindex("lo").unwrap();
    // Somebody else may be there as well.
    let order = || {
        let mut found = attached(AttachPoint::Ifindex(loopback), ingress, true);
        found.retain(|(id, _)| programs.iter().any(|program| program.id().0 == *id));
        found
    };
    let ids = [&programs[1], &programs[2], &programs[0]].map(|program| program.id().0);
    let links = [&second, &third, &first].map(|link| link.id().unwrap().0);
    assert!(order().into_iter().eq(ids.into_iter().zip(links)));
    drop(third);
    let before = Place::first().next_to_link(&first).unwrap();
    let third = programs[2].attach(point().place(before)).unwrap();
    assert_eq!(order()[1], (ids[1], third.id().unwrap().0));
    assert!(programs[0].attach(Tcx::new(0)).is_err());
}

#[test]
fn netkit_runs_programs_at_both_ends() {
    if !root() || older_than(6, 7, "netkit") {
        return;
    }
    let Some(pair) = NetkitPair::create() else {
        return;
    };
    let ends = [
        (&pair.primary, AttachType::NETKIT_PRIMARY),
        (&pair.peer, AttachType::NETKIT_PEER),
    ];
    for (device, attach_type) in ends {
        let map = counter();
        // NETKIT_DROP
        let program = load_for(ProgramType::SCHED_CLS, attach_type, counting(&map, 2));
        // The peer is reached through the primary.
        let link = program
            .attach(Netkit::by_name(&pair.primary).unwrap())
            .unwrap_or_else(|error| common::fail(&error));
        send_from(device);
        assert_ne!(count(&map), 0);
        let expected = LinkDetails::Netkit {
            ifindex: purebpf_syscall::host::ifindex(device).unwrap(),
            attach_type,
        };
        assert_eq!(link.info().unwrap().details, expected);
        link.detach().unwrap();
        let last = count(&map);
        send_from(device);
        assert_eq!(count(&map), last);
        let error = program.attach(Netkit::by_name(&pair.peer).unwrap());
        assert_eq!(error.unwrap_err().errno(), Some(Errno::EACCES));
    }
    let error = Netkit::by_name("no-such-device").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENODEV));
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
fn cgroup_programs_are_in_their_places() {
    if !root() || older_than(6, 17, "places among programs of cgroups") {
        return;
    }
    let Some(group) = Group::create() else { return };
    let how = AttachType::CGROUP_INET_SOCK_CREATE;
    let programs = [(); 3].map(|()| {
        let program_type = ProgramType::CGROUP_SOCK;
        load_for(program_type, how, counting(&counter(), 1))
    });
    let point = || Cgroup::new(&group.0);
    let first = programs[0].attach(point()).unwrap();
    let before = Place::before_link(first.id().unwrap());
    let _second = programs[1]
        .attach(point().place(before))
        .unwrap_or_else(|error| common::fail(&error));
    let after = Place::last().next_to_link(&first).unwrap();
    let _third = programs[2].attach(point().place(after)).unwrap();
    let directory = File::open(&group.0).unwrap();
    let found = attached(AttachPoint::Fd(directory.as_fd()), how, false);
    let order = [1, 0, 2].map(|index: usize| (programs[index].id().0, 0));
    assert_eq!(found, order);
    let stale = Place::first().expected_revision(u64::MAX);
    let error = programs[0].attach(point().place(stale)).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ESTALE));
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
    if !root() || older_than(6, 4, "netfilter links") {
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
    if !root() || older_than(6, 10, "sockmap links") {
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
