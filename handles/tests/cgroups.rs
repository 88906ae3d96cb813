//! Attaching to cgroups of the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use common::attached::runs_while_attached;
use common::cgroups::{KINDS, do_everything, inside};
use common::{
    FileSystem, Group, attributes, count, counter, counting, fail, kernel_type, lacks, load_for,
    load_unless_refused, older_than, root, since,
};
use purebpf_btf::Kind;
use purebpf_handles::attach::{Cgroup, CgroupMode, Place};
use purebpf_handles::{Errno, Error, LinkDetails, Map, Program, ProgramAttributes, ProgramId};
use purebpf_insn::{AttachType, LinkType, ProgramType};

const HOW: AttachType = AttachType::CGROUP_INET_SOCK_CREATE;

/// A program that counts sockets that are made, and allows them or not.
fn counting_sockets(map: &Map, allowed: bool) -> Program {
    load_for(ProgramType::CGROUP_SOCK, HOW, counting(map, allowed.into()))
}

fn make_socket(group: &Group) -> std::io::Result<()> {
    inside(group, || {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)
    })
}

#[test]
fn every_kind_of_program_runs_for_the_processes_of_a_cgroup() {
    let Some(group) = a_group() else { return };
    let mut seen: Vec<AttachType> = vec![AttachType::LSM_CGROUP];
    for &(program_type, kinds, (major, minor)) in KINDS {
        seen.extend(kinds);
        if older_than(major, minor, &kinds[0].to_string()) {
            continue;
        }
        for &how in kinds {
            let map = counter();
            let program = load_for(program_type, how, counting(&map, 1));
            let hit = || inside(&group, do_everything);
            for target in [
                Cgroup::new(&group.0),
                Cgroup::new(&group.0).without_link(CgroupMode::Multi),
            ] {
                // For whoever sees this fail.
                println!("{how}");
                runs_while_attached(&program, target, &map, hit);
            }
        }
    }
    seen.sort_unstable();
    let mut all = Cgroup::ATTACH_TYPES.to_vec();
    all.sort_unstable();
    assert_eq!(seen, all);
}

fn a_group() -> Option<Group> {
    if root() { Group::create() } else { None }
}

fn point(group: &Group) -> Cgroup {
    Cgroup::new(&group.0).attach_type(HOW)
}

fn programs(group: &Group) -> Vec<ProgramId> {
    let found = point(group).query();
    let found = found.unwrap_or_else(|error| fail(&error)).programs;
    found.iter().map(|entry| entry.program).collect()
}

#[test]
fn a_program_decides_for_the_processes_of_a_cgroup() {
    let Some(group) = a_group() else { return };
    let map = counter();
    let program = counting_sockets(&map, false);
    let link = program.attach(Cgroup::new(&group.0));
    let link = link.unwrap_or_else(|error| fail(&error));
    let refused = make_socket(&group).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    link.detach().unwrap();
    make_socket(&group).unwrap();
    assert_eq!(count(&map), 1);
    let details = link.info().unwrap().details;
    let is_detached = matches!(details, LinkDetails::Cgroup { cgroup_id: 0, .. });
    assert!(is_detached, "{details:?}");
    // By an fd, and of an opened program, which has to be told how.
    let opened = Program::from_id(program.id()).unwrap();
    let directory = || Cgroup::from_fd(File::open(&group.0).unwrap().into());
    let error = opened.attach(directory()).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }));
    let link = opened.attach(directory().attach_type(HOW)).unwrap();
    assert_eq!(link.info().unwrap().link_type, LinkType::CGROUP);
}

#[test]
fn a_program_runs_as_long_as_it_is_attached_with_and_without_a_link() {
    let Some(group) = a_group() else { return };
    let modes = [CgroupMode::Alone, CgroupMode::Override, CgroupMode::Multi];
    let direct = modes.map(|mode| point(&group).without_link(mode));
    for target in direct.into_iter().chain([point(&group)]) {
        let map = counter();
        let program = counting_sockets(&map, true);
        let hit = || make_socket(&group).unwrap();
        runs_while_attached(&program, target, &map, hit);
    }
}

#[test]
fn a_hook_of_security_runs_for_the_processes_of_a_cgroup() {
    let Some(group) = a_group() else { return };
    let security = FileSystem::mount("securityfs");
    let modules = std::fs::read_to_string(security.path("lsm")).unwrap();
    let has_none = modules.split(',').all(|module| module != "bpf");
    if older_than(6, 0, "hooks of security for cgroups")
        || lacks(has_none, "BPF as a security module")
    {
        return;
    }
    let Some(hook) = kernel_type(Kind::Func, "bpf_lsm_socket_bind") else {
        return;
    };
    let map = counter();
    let how = AttachType::LSM_CGROUP;
    let program = load_unless_refused(&ProgramAttributes {
        expected_attach_type: how,
        attach_btf_id: hook,
        ..attributes(ProgramType::LSM, counting(&map, 1))
    });
    let Some(program) = program else { return };
    let point = || Cgroup::new(&group.0).attach_type(how);
    let hit = || make_socket(&group).unwrap();
    runs_while_attached(&program, point(), &map, hit);
    let direct = point().without_link(CgroupMode::Multi);
    runs_while_attached(&program, direct, &map, hit);
    let _link = program.attach(point()).unwrap();
    let found = point().query().unwrap().programs;
    assert!(found.iter().map(|entry| entry.program).eq([program.id()]));
}

#[test]
fn where_one_program_is_allowed_the_newest_takes_the_place() {
    let Some(group) = a_group() else { return };
    let programs_ = [(); 2].map(|()| counting_sockets(&counter(), true));
    for mode in [CgroupMode::Alone, CgroupMode::Override] {
        let target = || point(&group).without_link(mode);
        let first = programs_[0].attach(target()).unwrap();
        let second = programs_[1].attach(target()).unwrap();
        drop(first);
        assert_eq!(programs(&group), [programs_[1].id()]);
        // Others are not allowed now.
        let multi = point(&group).without_link(CgroupMode::Multi);
        let error = programs_[0].attach(multi).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EPERM));
        drop(second);
        assert!(programs(&group).is_empty());
    }
}

#[test]
fn where_many_are_allowed_one_can_take_the_place_of_another() {
    let Some(group) = a_group() else { return };
    let maps = [counter(), counter(), counter()];
    let loaded = maps.each_ref().map(|map| counting_sockets(map, true));
    let multi = || point(&group).without_link(CgroupMode::Multi);
    let _first = loaded[0].attach(multi()).unwrap();
    let second = loaded[1].attach(multi()).unwrap();
    let third = point(&group).replacing_program(&loaded[0]);
    let third = loaded[2].attach(third).unwrap();
    assert_eq!(programs(&group), [&loaded[2], &loaded[1]].map(Program::id));
    make_socket(&group).unwrap();
    assert_eq!(maps.each_ref().map(count), [0, 1, 1]);
    let error = loaded[0].attach(point(&group).replacing_program(&loaded[0]));
    assert_eq!(error.unwrap_err().errno(), Some(Errno::ENOENT));
    second.disconnect();
    drop((second, third));
    assert_eq!(programs(&group), [loaded[1].id()]);
    point(&group).detach(&loaded[1]).unwrap();
    assert!(programs(&group).is_empty());
    let error = point(&group).detach(&loaded[1]).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
}

#[test]
fn what_is_attached_is_told_with_its_flags_and_what_ancestors_add() {
    let Some(group) = a_group() else { return };
    let child = Group(group.0.join("child"));
    std::fs::create_dir(&child.0).unwrap();
    let [above, below] = [(); 2].map(|()| counting_sockets(&counter(), true));
    let multi = |group| point(group).without_link(CgroupMode::Multi);
    let _above = above.attach(multi(&group)).unwrap();
    let _below = below.attach(point(&child)).unwrap();
    let found = point(&child).query().unwrap();
    assert_eq!(found.flags, 2);
    let expected = if since(6, 0) { 2 } else { 0 };
    let found = found.programs.iter();
    let found = found.map(|entry| (entry.program, entry.flags, entry.link));
    assert!(found.eq([(below.id(), expected, None)]));
    let effective = |group| {
        let found = point(group).effective().unwrap().programs;
        found.iter().map(|entry| entry.program).collect::<Vec<_>>()
    };
    assert_eq!(effective(&child), [below.id(), above.id()]);
    assert_eq!(effective(&group), [above.id()]);
    let error = Cgroup::new(&group.0).query().unwrap_err();
    assert!(error.to_string().contains("attach type"), "{error}");
}

#[test]
fn every_attach_type_of_cgroups_can_be_asked_for() {
    let Some(group) = a_group() else { return };
    for how in Cgroup::ATTACH_TYPES {
        let found = Cgroup::new(&group.0).attach_type(*how).query();
        match found {
            Ok(found) => assert!(found.programs.is_empty(), "{how:?}"),
            // The newest came with 6.7.
            Err(error) => assert!(!since(6, 7), "{how:?}: {error}: {error:?}"),
        }
    }
}

#[test]
fn programs_are_in_their_places() {
    let Some(group) = a_group() else { return };
    if older_than(6, 17, "places among programs of cgroups") {
        return;
    }
    let loaded = [(); 4].map(|()| counting_sockets(&counter(), true));
    let first = loaded[0].attach(point(&group)).unwrap();
    let before = Place::before_link(first.id().unwrap());
    let _second = loaded[1].attach(point(&group).place(before));
    let after = Place::last().next_to_link(&first).unwrap();
    let _third = loaded[2].attach(point(&group).place(after)).unwrap();
    let direct = point(&group).without_link(CgroupMode::Multi);
    let _fourth = loaded[3].attach(direct.place(Place::first())).unwrap();
    let order = [3, 1, 0, 2].map(|index: usize| loaded[index].id());
    assert_eq!(programs(&group), order);
    assert!(point(&group).query().unwrap().revision.is_some());
    let stale = Place::first().expected_revision(u64::MAX);
    let error = loaded[0].attach(point(&group).place(stale)).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ESTALE));
}

#[test]
fn a_cgroup_that_is_missing_has_neighbours() {
    let Some(group) = a_group() else { return };
    let program = counting_sockets(&counter(), true);
    let name = group.0.file_name().unwrap().to_str().unwrap();
    let missing = group.0.with_file_name(format!("{name}x"));
    let error = program.attach(Cgroup::new(&missing)).unwrap_err();
    let text = error.to_string();
    let expected = format!("there is no cgroup {}; there is `", missing.display());
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.contains(&format!("`{name}`")), "{text}");
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    let nowhere = Path::new("/no/such/group");
    let error = program.attach(Cgroup::new(nowhere)).unwrap_err();
    assert_eq!(error.to_string(), "there is no cgroup /no/such/group");
    // What is there, and is no cgroup, is for the kernel to refuse.
    let error = program.attach(Cgroup::new("/")).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EBADF));
}
