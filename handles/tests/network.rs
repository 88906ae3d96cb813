//! Attaching to network devices and name spaces of the running kernel, on a wire between two network
//! name spaces.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use common::attached::runs_while_attached;
use common::netkit::{NetkitPair, send_from};
use common::network::{NEAR, on_a_wire, packet_to_self};
use common::{count, counter, counting, fail, load, load_for, older_than, root, since};
use purebpf_handles::attach::{Lwt, Netfilter, Netkit, Netns, Place, Tc, TcParent, Tcx, Xdp};
use purebpf_handles::{Errno, Error, LinkDetails, Map, Program};
use purebpf_insn::{AttachType, ProgramType, build};

fn near() -> u32 {
    purebpf_syscall::host::ifindex(NEAR).unwrap()
}

#[test]
fn xdp_sees_packets_and_can_be_replaced() {
    on_a_wire(|wire| {
        if older_than(5, 9, "XDP links") {
            return;
        }
        let (map, other) = (counter(), counter());
        let program = load_for(ProgramType::XDP, AttachType::XDP, counting(&map, 2));
        let device = || Xdp::by_name(NEAR).unwrap();
        runs_while_attached(&program, device(), &map, || wire.receive());
        let link = program.attach(device()).unwrap();
        let ifindex = near();
        assert_eq!(link.info().unwrap().details, LinkDetails::Xdp { ifindex });
        let second = load_for(ProgramType::XDP, AttachType::XDP, counting(&other, 2));
        assert!(link.replace_program(&second, &second).is_err());
        link.replace_program(&second, &program).unwrap();
        let last = count(&map);
        wire.receive();
        assert_ne!(count(&other), 0);
        assert_eq!(count(&map), last);
        link.update_program(&program).unwrap();
        // Where the kernel detaches itself, the link is still there to be asked.
        link.detach().unwrap();
        let nowhere = LinkDetails::Xdp { ifindex: 0 };
        assert_eq!(link.info().unwrap().details, nowhere);
        let error = program.attach(Xdp::new(u32::MAX)).unwrap_err();
        assert!(error.errno().is_some(), "{error}");
    });
}

/// A program that counts, and leaves the packet to the next one (`TCX_NEXT`).
fn next(map: &Map) -> Program {
    load_for(
        ProgramType::SCHED_CLS,
        AttachType::TCX_INGRESS,
        counting(map, -1),
    )
}

fn ingress() -> Tcx {
    Tcx::new(near()).attach_type(AttachType::TCX_INGRESS)
}

#[test]
fn tcx_runs_programs_in_their_places() {
    on_a_wire(|wire| {
        if older_than(6, 6, "tcx") {
            return;
        }
        let maps = [counter(), counter(), counter()];
        let programs = maps.each_ref().map(next);
        runs_while_attached(&programs[0], ingress(), &maps[0], || wire.receive());
        let first = programs[0].attach(ingress()).unwrap();
        let before = Place::before(programs[0].id());
        let second = programs[1].attach(ingress().place(before)).unwrap();
        let after = Place::last().next_to(&programs[1]).unwrap();
        let third = programs[2].attach(ingress().place(after)).unwrap();
        wire.receive();
        assert!(maps.iter().all(|map| count(map) != 0));
        let order = || {
            let found = ingress().query().unwrap().programs;
            let ids = found.iter().map(|entry| (entry.program, entry.link));
            ids.collect::<Vec<_>>()
        };
        let ids = [&programs[1], &programs[2], &programs[0]].map(Program::id);
        let links = [&second, &third, &first].map(|link| link.id().ok());
        assert!(order().into_iter().eq(ids.into_iter().zip(links)));
        drop(third);
        let before = Place::first().next_to_link(&first).unwrap();
        let third = programs[2].attach(ingress().place(before)).unwrap();
        assert_eq!(order()[1], (ids[1], third.id().ok()));
        assert!(programs[0].attach(Tcx::new(0)).is_err());
        let error = Tcx::new(near()).query().unwrap_err();
        assert!(error.to_string().contains("attach type"), "{error}");
    });
}

#[test]
fn tcx_takes_programs_without_links_beside_those_with() {
    on_a_wire(|wire| {
        if older_than(6, 6, "tcx") {
            return;
        }
        let maps = [counter(), counter(), counter()];
        let programs = maps.each_ref().map(next);
        let direct = || ingress().without_link();
        runs_while_attached(&programs[0], direct(), &maps[0], || wire.receive());
        let link = programs[0].attach(ingress()).unwrap();
        let revision = ingress().query().unwrap().revision;
        let place = Place::first().expected_revision(revision.unwrap());
        let second = programs[1].attach(direct().place(place.clone())).unwrap();
        let stale = programs[2].attach(direct().place(place)).unwrap_err();
        assert_eq!(stale.errno(), Some(Errno::ESTALE));
        let order = || {
            let found = ingress().query().unwrap().programs;
            let ids = found.iter().map(|entry| (entry.program, entry.link));
            ids.collect::<Vec<_>>()
        };
        let with_link = (programs[0].id(), link.id().ok());
        assert_eq!(order(), [(programs[1].id(), None), with_link]);
        let instead = ingress().replacing_program(&programs[1]);
        let third = programs[2].attach(instead).unwrap();
        // It has been replaced, so that there is nothing to detach.
        drop(second);
        assert_eq!(order(), [(programs[2].id(), None), with_link]);
        third.disconnect();
        drop(third);
        assert_eq!(order().len(), 2);
        ingress().detach(&programs[2]).unwrap();
        assert_eq!(order(), [with_link]);
        let error = ingress().detach(&programs[2]).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOENT));
        let error = ingress().detach(&programs[0]).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EBUSY));
    });
}

#[test]
fn what_has_no_link_is_detached_in_its_own_name_space() {
    on_a_wire(|wire| {
        if older_than(6, 6, "tcx") {
            return;
        }
        let program = next(&counter());
        let link = program.attach(ingress().without_link()).unwrap();
        wire.at_the_far_end(move || drop(link));
        assert!(ingress().query().unwrap().programs.is_empty());
    });
}

#[test]
fn netkit_runs_programs_at_both_ends() {
    on_a_wire(|_| {
        if older_than(6, 7, "netkit") {
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
            let primary = || {
                let primary = Netkit::by_name(&pair.primary).unwrap();
                primary.attach_type(attach_type)
            };
            let send = || send_from(device);
            runs_while_attached(&program, primary(), &map, send);
            runs_while_attached(&program, primary().without_link(), &map, send);
            let link = program.attach(primary()).unwrap();
            let expected = LinkDetails::Netkit {
                ifindex: purebpf_syscall::host::ifindex(device).unwrap(),
                attach_type,
            };
            assert_eq!(link.info().unwrap().details, expected);
            let found = primary().query().unwrap().programs;
            let ids = |entry: &purebpf_handles::attach::AttachedProgram| {
                assert_eq!(entry.link, link.id().ok());
                entry.program
            };
            assert!(found.iter().map(ids).eq([program.id()]));
            let error = program.attach(Netkit::by_name(&pair.peer).unwrap());
            assert_eq!(error.unwrap_err().errno(), Some(Errno::EACCES));
        }
        let error = Netkit::by_name("no-such-device").unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENODEV));
    });
}

#[test]
fn socket_lookup_is_attached_to_a_name_space() {
    on_a_wire(|_| {
        if older_than(5, 9, "socket lookup") {
            return;
        }
        let map = counter();
        let lookup = AttachType::SK_LOOKUP;
        // SK_PASS
        let program = load_for(ProgramType::SK_LOOKUP, lookup, counting(&map, 1));
        runs_while_attached(&program, Netns::current(), &map, packet_to_self);
        let link = program.attach(Netns::current()).unwrap();
        let details = link.info().unwrap().details;
        assert!(matches!(details, LinkDetails::Netns { .. }));
        let found = Netns::current().attach_type(lookup).query().unwrap();
        assert!(
            found
                .programs
                .iter()
                .map(|entry| entry.program)
                .eq([program.id()])
        );
    });
}

#[test]
fn a_flow_dissector_takes_packets_apart_with_and_without_a_link() {
    on_a_wire(|wire| {
        // The hash of a packet is made of what the dissector finds; this asks for a new one.
        let hash = [
            build::mov64_reg(6, 1),
            build::call(41),
            build::mov64_reg(1, 6),
            build::call(34),
            build::mov64_imm(0, 0),
            build::exit(),
        ];
        let hash = load(ProgramType::SCHED_CLS, hash.to_vec());
        let egress = Tc::by_name(NEAR, TcParent::Egress).unwrap();
        let _hash = hash.attach(egress).unwrap_or_else(|error| fail(&error));
        let how = AttachType::FLOW_DISSECTOR;
        let here = || Netns::current().attach_type(how);
        let programs = || {
            let found = here().query().unwrap().programs;
            found.iter().map(|entry| entry.program).collect::<Vec<_>>()
        };
        let maps = [counter(), counter()];
        // BPF_OK
        let load = |map| load_for(ProgramType::FLOW_DISSECTOR, how, counting(map, 0));
        let dissectors = maps.each_ref().map(load);
        let direct = || here().without_link();
        let send = || wire.send();
        runs_while_attached(&dissectors[0], direct(), &maps[0], send);
        if since(5, 8) {
            runs_while_attached(&dissectors[0], here(), &maps[0], send);
            let link = dissectors[0].attach(here()).unwrap();
            let error = dissectors[1].attach(direct()).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::EEXIST));
            drop(link);
        }
        let first = dissectors[0].attach(direct()).unwrap();
        assert_eq!(programs(), [dissectors[0].id()]);
        // Whoever comes later takes the place.
        let second = dissectors[1].attach(direct()).unwrap();
        drop(first);
        assert_eq!(programs(), [dissectors[1].id()]);
        second.disconnect();
        drop(second);
        wire.at_the_far_end(|| assert!(programs().is_empty()));
        assert_eq!(programs(), [dissectors[1].id()]);
        here().detach(&dissectors[1]).unwrap();
        assert!(programs().is_empty());
    });
}

#[test]
fn netfilter_hook_sees_packets() {
    on_a_wire(|_| {
        if older_than(6, 4, "netfilter links") {
            return;
        }
        let map = counter();
        let hook = AttachType::NETFILTER;
        // NF_ACCEPT
        let program = load_for(ProgramType::NETFILTER, hook, counting(&map, 1));
        let target = || Netfilter::new(2, 1).priority(-77);
        runs_while_attached(&program, target(), &map, packet_to_self);
        let link = program.attach(target()).unwrap();
        let expected = LinkDetails::Netfilter {
            family: 2,
            hook: 1,
            priority: -77,
            flags: 0,
        };
        assert_eq!(link.info().unwrap().details, expected);
    });
}

#[test]
fn programs_of_a_route_see_the_packets_that_take_it() {
    on_a_wire(|_| {
        // Two of the addresses that are kept for tests.
        let [away, here] = [1, 2].map(|end| IpAddr::from([198, 18, 0, end]));
        let from_near = Lwt::by_name(away, 24, NEAR).unwrap();
        let to_self = Lwt::by_name(here, 32, "lo").unwrap().local();
        let send = |address| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            // Without the route, there is no way.
            drop(socket.send_to(b"x", (address, 9)));
        };
        for (program_type, target, address) in [
            (ProgramType::LWT_OUT, &from_near, away),
            (ProgramType::LWT_XMIT, &from_near, away),
            (ProgramType::LWT_IN, &to_self, here),
        ] {
            let map = counter();
            // BPF_OK
            let program = load(program_type, counting(&map, 0));
            runs_while_attached(&program, target, &map, || send(address));
            let link = program.attach(target).unwrap();
            let error = program.attach(target).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::EEXIST));
            assert!(link.info().is_err());
        }
        let six = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        let six = Lwt::by_name(six, 64, NEAR).unwrap();
        let program = load(ProgramType::LWT_OUT, counting(&counter(), 0));
        for _ in 0..2 {
            // The route is gone, or it could not be made again.
            program.attach(&six).unwrap().detach().unwrap();
        }
        let program = load(ProgramType::SCHED_CLS, counting(&counter(), 0));
        let error = program.attach(&from_near).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    });
}

#[test]
fn a_name_space_that_is_missing_has_neighbours() {
    if !root() {
        return;
    }
    let directory =
        std::env::temp_dir().join(format!("purebpf-test-spaces-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("blue"), "").unwrap();
    let [bleu, blue] = ["bleu", "blue"].map(|name| directory.join(name));
    let how = AttachType::FLOW_DISSECTOR;
    let program = load_for(ProgramType::FLOW_DISSECTOR, how, counting(&counter(), 0));
    let error = program.attach(Netns::new(&bleu)).unwrap_err();
    let text = format!(
        "there is no network name space {}; there is `blue`",
        bleu.display()
    );
    assert_eq!(error.to_string(), text);
    // A file is none.
    assert!(program.attach(Netns::new(&blue)).is_err());
    std::fs::remove_dir_all(directory).unwrap();
}
