//! Filters of traffic control on the running kernel, on a wire between two network name spaces.

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
use common::{count, counter, counting, fail, lacks, load};
use purebpf_handles::attach::{Qdisc, Tc, TcFilter, TcParent};
use purebpf_handles::{Errno, Map, Program};
use purebpf_insn::ProgramType;

/// A program that counts, and returns `result`: 0 is the end of the filters, -1 the next one.
fn filter(map: &Map, result: i32) -> Program {
    load(ProgramType::SCHED_CLS, counting(map, result))
}

fn ifindex() -> u32 {
    purebpf_syscall::host::ifindex(NEAR).unwrap()
}

fn ingress() -> Tc {
    Tc::by_name(NEAR, TcParent::Ingress).unwrap()
}

#[test]
fn filters_see_what_comes_in_and_what_goes_out() {
    on_a_wire(|wire| {
        let map = counter();
        let program = filter(&map, 0);
        runs_while_attached(&program, ingress(), &map, || wire.receive());
        let egress = Tc::by_name(NEAR, TcParent::Egress).unwrap();
        runs_while_attached(&program, egress, &map, || wire.send());
        // The qdisc is still there.
        assert!(!Qdisc::clsact(ifindex()).create().unwrap());
    });
}

#[test]
fn filters_run_by_priority_and_are_found_by_it() {
    on_a_wire(|wire| {
        let maps = [counter(), counter(), counter()];
        let programs = maps.each_ref().map(|map| filter(map, -1));
        let places = [(20, 1), (10, 1), (10, 2)];
        let links = [0, 1, 2].map(|index| {
            let (priority, handle) = places[index];
            let place = ingress().priority(priority).handle(handle);
            programs[index]
                .attach(place)
                .unwrap_or_else(|error| fail(&error))
        });
        let found = ingress().query().unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|filter| (filter.priority, filter.handle, filter.program))
            .collect();
        // The newest of a priority is the first.
        let expected = [2, 1, 0].map(|index| {
            let (priority, handle): (u16, u32) = places[index];
            (priority, handle, programs[index].id())
        });
        assert_eq!(found, expected);
        wire.receive();
        assert!(maps.iter().all(|map| count(map) != 0));
        let ten = ingress().priority(10).query().unwrap();
        assert_eq!(ten.len(), 2);
        assert!(ten.iter().all(|filter| filter.direct_action));
        let id = programs[2].id();
        assert_eq!(ten[0].name, format!("test_program:[{id}]"));
        assert_eq!(ten[0].parent, TcParent::Ingress);
        drop(links);
        assert!(ingress().query().unwrap().is_empty());
    });
}

#[test]
fn a_place_that_is_taken_can_be_replaced_and_then_belongs_to_the_new_filter() {
    on_a_wire(|wire| {
        let maps = [counter(), counter()];
        let programs = maps.each_ref().map(|map| filter(map, 0));
        let place = || ingress().priority(1).handle(1);
        let old = programs[0].attach(place()).unwrap();
        let error = programs[1].attach(place()).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EEXIST));
        let new = programs[1].attach(place().replacing()).unwrap();
        wire.receive();
        assert_ne!(count(&maps[1]), 0);
        drop(old);
        let found = place().query().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].program, programs[1].id());
        new.detach().unwrap();
        assert!(place().query().unwrap().is_empty());
    });
}

#[test]
fn filters_that_stay_are_removed_one_by_one_or_all() {
    on_a_wire(|_| {
        let program = filter(&counter(), 0);
        let add = |priority| {
            let link = program.attach(ingress().priority(priority)).unwrap();
            assert!(link.info().is_err());
            link.disconnect();
        };
        [1, 2, 3].iter().copied().for_each(add);
        let priorities = || {
            let found = ingress().query().unwrap();
            found
                .iter()
                .map(|filter| filter.priority)
                .collect::<Vec<_>>()
        };
        assert_eq!(priorities(), [1, 2, 3]);
        let second = ingress().priority(2).query().unwrap()[0].handle;
        ingress().priority(2).handle(second).detach().unwrap();
        assert_eq!(priorities(), [1, 3]);
        ingress().priority(3).detach().unwrap();
        assert_eq!(priorities(), [1]);
        let error = ingress().priority(7).handle(1).detach().unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOENT));
        ingress().detach().unwrap();
        assert!(priorities().is_empty());
    });
}

#[test]
fn a_qdisc_is_made_once_and_takes_its_filters_with_it() {
    on_a_wire(|_| {
        let qdisc = Qdisc::clsact(ifindex());
        assert!(qdisc.create().unwrap());
        assert!(!qdisc.create().unwrap());
        let program = filter(&counter(), 0);
        let link = program.attach(ingress()).unwrap();
        qdisc.destroy().unwrap();
        assert!(ingress().query().unwrap().is_empty());
        link.detach().unwrap();
        assert!(qdisc.destroy().is_err());
        let error = Qdisc::new(ifindex(), "no_such_kind", u32::MAX, 0x1_0000)
            .create()
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`no_such_kind`"), "{text}");
        assert_eq!(error.errno(), Some(Errno::ENOENT));
        let nowhere = Tc::new(12345, TcParent::Egress);
        let error = program.attach(nowhere).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENODEV));
    });
}

#[test]
fn a_parent_by_its_number_takes_filters_as_well() {
    on_a_wire(|wire| {
        let custom = Tc::by_name(NEAR, TcParent::Custom(0xffff_fff2)).unwrap();
        let map = counter();
        let program = filter(&map, 0);
        // What it needs is not made for it.
        assert!(program.attach(&custom).is_err());
        Qdisc::clsact(ifindex()).create().unwrap();
        runs_while_attached(&program, &custom, &map, || wire.receive());
        let _link = program.attach(&custom).unwrap();
        assert_eq!(custom.query().unwrap()[0].parent, TcParent::Ingress);
    });
}

#[test]
fn all_filters_are_found_wherever_they_are() {
    on_a_wire(|_| {
        let program = filter(&counter(), 0);
        let root = 0x1_0000;
        let mut parents = vec![TcParent::Ingress, TcParent::Egress];
        match Qdisc::new(ifindex(), "drr", u32::MAX, root).create() {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                lacks(true, "the qdisc drr");
            }
            made => {
                assert!(made.unwrap());
                parents.insert(0, TcParent::Custom(root));
            }
        }
        let attach = |parent: &TcParent| program.attach(Tc::new(ifindex(), *parent)).unwrap();
        let links: Vec<_> = parents.iter().map(attach).collect();
        let found = TcFilter::all().unwrap_or_else(|error| fail(&error));
        let found = found.iter();
        let found = found.map(|filter| (filter.ifindex, filter.parent, filter.program));
        let expected = parents.iter();
        assert!(found.eq(expected.map(|parent| (ifindex(), *parent, program.id()))));
        drop(links);
        assert!(TcFilter::all().unwrap().is_empty());
    });
}
