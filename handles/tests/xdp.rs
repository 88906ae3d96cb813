//! XDP by netlink on the running kernel, on a wire between two network name spaces.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::attached::runs_while_attached;
use common::network::{NEAR, on_a_wire};
use common::{count, counter, counting, fail, lacks, load_for, since};
use purebpf_handles::attach::{Device, Xdp, XdpFeatures, XdpMode};
use purebpf_handles::{Errno, Map, Program};
use purebpf_insn::{AttachType, ProgramType};

/// A program that counts, and lets packets pass.
fn passing(map: &Map) -> Program {
    load_for(ProgramType::XDP, AttachType::XDP, counting(map, 2))
}

fn near() -> Xdp {
    Xdp::by_name(NEAR).unwrap()
}

#[test]
fn a_program_attached_by_netlink_sees_packets_in_every_mode() {
    on_a_wire(|wire| {
        for mode in [XdpMode::Generic, XdpMode::Native] {
            let map = counter();
            let program = passing(&map);
            let target = near().mode(mode).without_link();
            let receive = || wire.receive();
            runs_while_attached(&program, &target, &map, receive);
            let link = program.attach(&target).unwrap();
            let expected = [(mode, program.id())];
            assert!(target.query().unwrap().programs().eq(expected));
            drop(link);
            assert_eq!(target.query().unwrap().programs().count(), 0);
        }
        // A veth has no hardware.
        let program = passing(&counter());
        let target = near().mode(XdpMode::Offload).without_link();
        assert!(program.attach(&target).is_err());
    });
}

#[test]
fn a_device_takes_one_program_unless_it_is_to_be_replaced() {
    on_a_wire(|wire| {
        let maps = [counter(), counter()];
        let programs = maps.each_ref().map(passing);
        let first = programs[0].attach(near().without_link()).unwrap();
        let error = programs[1].attach(near().without_link()).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EBUSY));
        let is = |program: &Program| {
            let info = near().query().unwrap();
            assert!(info.programs().map(|(_, id)| id).eq([program.id()]));
        };
        is(&programs[0]);
        if since(5, 7) {
            let wrong = near().replacing_program(&programs[1]);
            let error = programs[1].attach(wrong).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::EEXIST));
            let right = near().replacing_program(&programs[0]);
            drop(programs[1].attach(right).unwrap());
            // The program that was replaced is not put back, and nothing is detached twice.
            assert_eq!(near().query().unwrap().programs().count(), 0);
        }
        let second = programs[1].attach(near().replacing()).unwrap();
        drop(first);
        is(&programs[1]);
        wire.receive();
        assert_ne!(count(&maps[1]), 0);
        second.detach().unwrap();
        assert_eq!(near().query().unwrap().programs().count(), 0);
    });
}

#[test]
fn what_is_to_stay_stays_until_it_is_detached() {
    on_a_wire(|_| {
        let program = passing(&counter());
        let link = program.attach(near().without_link()).unwrap();
        assert!(link.info().is_err() && link.update_program(&program).is_err());
        assert!(link.pin("/sys/fs/bpf/purebpf-test-no-link").is_err());
        link.disconnect();
        drop(link);
        assert_eq!(near().query().unwrap().programs().count(), 1);
        near().detach().unwrap();
        near().detach().unwrap();
        assert_eq!(near().query().unwrap().programs().count(), 0);
    });
}

#[test]
fn a_link_detaches_in_the_name_space_that_it_was_made_in() {
    on_a_wire(|wire| {
        let program = passing(&counter());
        let link = program.attach(near().without_link()).unwrap();
        // The far end has the same index there as the near one here, or is not there at all.
        wire.at_the_far_end(move || drop(link));
        assert_eq!(near().query().unwrap().programs().count(), 0);
    });
}

#[test]
fn a_link_keeps_netlink_out() {
    if !since(5, 9) {
        lacks(true, "XDP links");
        return;
    }
    on_a_wire(|_| {
        let program = passing(&counter());
        let link = program.attach(near()).unwrap();
        assert_eq!(near().query().unwrap().programs().count(), 1);
        for error in [
            near().detach().unwrap_err(),
            program.attach(near().replacing()).unwrap_err(),
        ] {
            assert_eq!(error.errno(), Some(Errno::EBUSY), "{error}");
        }
        drop(link);
    });
}

#[test]
fn a_driver_tells_what_it_can_do() {
    on_a_wire(|_| {
        let features = near().features().unwrap_or_else(|error| fail(&error));
        assert_eq!(features.is_some(), since(6, 3));
        if let Some((features, _)) = features {
            assert!(features.contains(XdpFeatures::BASIC | XdpFeatures::REDIRECT));
        }
        let nowhere = Xdp::new(12345);
        assert_eq!(nowhere.query().unwrap_err().errno(), Some(Errno::ENODEV));
        assert!(nowhere.features().is_ok() != since(6, 3));
    });
}

#[test]
fn a_device_that_is_missing_has_neighbours() {
    on_a_wire(|_| {
        let error = Xdp::by_name("naer").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no network device `naer`; there is `near`"
        );
        assert_eq!(error.errno(), Some(Errno::ENODEV));
        let program = passing(&counter());
        let error = program.attach(Xdp::new(12345).without_link()).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENODEV));
    });
}

#[test]
fn every_device_is_listed_with_its_programs() {
    on_a_wire(|_| {
        let program = passing(&counter());
        let target = near().mode(XdpMode::Generic);
        let _link = program.attach(target.without_link()).unwrap();
        let devices = Device::all().unwrap_or_else(|error| fail(&error));
        let programs = |name: &str| {
            let device = devices.iter().find(|device| device.name == name);
            device.unwrap().xdp.programs().collect::<Vec<_>>()
        };
        assert_eq!(programs(NEAR), [(XdpMode::Generic, program.id())]);
        assert_eq!(programs("lo"), []);
    });
}
