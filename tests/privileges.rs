//! What is loaded with fewer rights than root's, and what an error says is missing.

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

use purebpf::attach::{Tc, TcParent};
use purebpf::{Error, Object, ObjectSpec};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

const ENOUGH: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN);

/// Does something in a thread that has these rights alone.
fn with<T: Send>(rights: CapabilitySet, job: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let sets = CapabilitySets {
                effective: rights,
                permitted: rights,
                inheritable: CapabilitySet::empty(),
            };
            set_capabilities(None, sets).unwrap();
            job()
        });
        thread.join().unwrap()
    })
}

/// The error and all that caused it.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Every fixture, with the name of its file.
fn fixtures() -> Vec<(String, ObjectSpec)> {
    let folder = support::fixture("");
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".bpf.o")).collect();
    names.sort();
    let open = |name: String| {
        Some((
            name.clone(),
            ObjectSpec::open(support::fixture(&name)).ok()?,
        ))
    };
    names.into_iter().filter_map(open).collect()
}

fn load(spec: &ObjectSpec) -> Result<Object, Error> {
    purebpf::load(spec)
}

#[test]
fn what_root_loads_is_loaded_with_three_capabilities() {
    if !common::root() || support::older_than(5, 11) {
        return;
    }
    let (mut loaded, mut refused) = (0, Vec::new());
    for (name, spec) in fixtures() {
        if load(&spec).is_err() {
            continue;
        }
        loaded += 1;
        if let Err(error) = with(ENOUGH, || load(&spec)) {
            refused.push(format!("{name}: {}", told(&error)));
        }
    }
    println!("{loaded} objects loaded, {} refused", refused.len());
    assert!(loaded > 10);
    assert_eq!(refused, [""; 0]);
}

#[test]
fn programs_are_attached_with_three_capabilities() {
    if !common::root() || support::older_than(5, 11) {
        return;
    }
    // Debian's kernels keep perf events from all but root at 3 and above.
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap();
    let has_perf = paranoid.trim().parse::<i32>().unwrap() < 3;
    for name in ["globals.bpf.o", "minimal.bpf.o"] {
        if name == "minimal.bpf.o" && support::lacks(!has_perf, "perf events without root") {
            continue;
        }
        let spec = support::open(name);
        let links = with(ENOUGH, || load(&spec).unwrap().attach_all());
        assert!(!links.unwrap().is_empty());
    }
}

#[test]
fn an_error_names_the_capability_that_is_missing_and_the_program() {
    if !common::root() || support::older_than(5, 11) {
        return;
    }
    let (bpf, perfmon) = (CapabilitySet::BPF, CapabilitySet::PERFMON);
    let cases = [
        ("minimal.bpf.o", bpf, "program `count`", "CAP_PERFMON"),
        ("minimal.bpf.o", perfmon, "map `counts`", "CAP_BPF"),
        (
            "minimal.bpf.o",
            CapabilitySet::empty(),
            "map `counts`",
            "CAP_BPF",
        ),
        ("buffers.bpf.o", bpf, "program `", "CAP_PERFMON"),
    ];
    for (name, rights, object, missing) in cases {
        let spec = support::open(name);
        let error = with(rights, || load(&spec)).unwrap_err();
        let text = told(&error);
        assert!(text.contains(object), "{name}: {text}");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains(missing), "{name}: {text}: {hint}");
    }
}

#[test]
fn an_error_names_the_capability_that_attaching_takes() {
    if !common::root() || support::older_than(5, 11) {
        return;
    }
    let object = load(&support::open("minimal.bpf.o")).unwrap();
    let (error, hint) = with(CapabilitySet::empty(), || {
        let error = object.attach_all().unwrap_err();
        let hint = error.hint().unwrap_or_default().to_owned();
        (error, hint)
    });
    let text = told(&error);
    assert!(
        text.contains("program `count` cannot be attached"),
        "{text}"
    );
    assert!(hint.contains("lacks CAP_PERFMON"), "{text}: {hint}");
}

#[test]
fn an_error_names_the_capability_that_a_network_device_takes() {
    if !common::root() || support::older_than(5, 11) {
        return;
    }
    let mut spec = support::open("sections.bpf.o");
    spec.load_only(["on_tc"]).unwrap();
    let object = load(&spec).unwrap();
    // The loopback device: nothing changes there, since the request is refused.
    let to_device = |rights| {
        with(rights, || {
            let place = Tc::new(1, TcParent::Ingress);
            let error = object.attach_all_with(|_, program| program.attach(&place).map(Some));
            let error = error.unwrap_err();
            (told(&error), error.hint().map(str::to_owned))
        })
    };
    for rights in [
        CapabilitySet::empty(),
        CapabilitySet::BPF | CapabilitySet::PERFMON,
    ] {
        let (text, hint) = to_device(rights);
        assert!(
            text.contains("program `on_tc` cannot be attached"),
            "{text}"
        );
        let hint = hint.unwrap_or_default();
        assert!(hint.contains("lacks CAP_NET_ADMIN"), "{text}: {hint}");
    }
}
