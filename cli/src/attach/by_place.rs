//! Programs attached at places as they were written.

use anyhow::Context as _;
use purebpf::attach::{
    Cgroup, Netfilter, Netkit, Netns, PerfEvent, Sockmap, SourcePlace, Tc, Tcx, Uprobe,
    UprobeMulti, Xdp,
};
use purebpf::{AttachType, Link, Object, Program};

use super::place::{At, Place};

pub(super) fn attach(object: &Object, at: &At) -> anyhow::Result<Link> {
    let program = object.program(&at.program)?;
    let attached = at.read().and_then(|place| to(object, &program, at, &place));
    match at.expected() {
        Some(expected) => attached
            .with_context(|| format!("program `{}` at {} ({expected})", at.program, at.place)),
        None => attached,
    }
}

fn to(object: &Object, program: &Program, at: &At, place: &Place<'_>) -> anyhow::Result<Link> {
    let link = match *place {
        Place::Xdp(device, mode) => {
            let target = Xdp::by_name(device)?;
            program.attach(match mode {
                None => target,
                Some(mode) => target.mode(mode),
            })
        }
        Place::Tcx(device, direction) => {
            let target = Tcx::by_name(device)?;
            program.attach(match direction {
                None => target,
                Some(direction) => target.attach_type(direction),
            })
        }
        Place::Tc(device, parent, priority) => {
            let target = Tc::by_name(device, parent)?;
            program.attach(match priority {
                None => target,
                Some(priority) => target.priority(priority),
            })
        }
        Place::Netkit(device, end) => {
            let target = Netkit::by_name(device)?;
            program.attach(match end {
                None => target,
                Some(end) => target.attach_type(end),
            })
        }
        Place::Cgroup(path) => program.attach(Cgroup::new(path)),
        Place::Netns("") => program.attach(Netns::current()),
        Place::Netns(path) => program.attach(Netns::new(path)),
        Place::Netfilter(family, hook, priority) => {
            let target = Netfilter::new(family, hook);
            program.attach(match priority {
                None => target,
                Some(priority) => target.priority(priority),
            })
        }
        Place::Sockmap(map) => program.attach(Sockmap::new(&object.map(map)?)),
        Place::PerfEvent(event, cpu, frequency) => {
            let target = PerfEvent::software(event).cpu(cpu);
            program.attach(match frequency {
                None => target.period(1),
                Some(frequency) => target.frequency(frequency),
            })
        }
        Place::Source(binary, ref place) => source(program, binary, place.clone()),
        Place::Section(section) => return Ok(object.attach_as(&at.program, section)?),
    };
    Ok(link?)
}

/// At all places, if the program was loaded for many, or at the only one.
fn source(
    program: &Program,
    binary: &str,
    place: SourcePlace,
) -> Result<Link, purebpf::handles::Error> {
    let is_for_many = program.expected_attach_type() == Some(AttachType::TRACE_UPROBE_MULTI);
    match is_for_many {
        true => program.attach(UprobeMulti::source(binary, place)),
        false => program.attach(Uprobe::new(binary).source(place)),
    }
}
