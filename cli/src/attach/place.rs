//! Places as they are written, and how programs are attached there.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use purebpf::attach::{
    Cgroup, Netfilter, Netkit, Netns, PerfEvent, Sockmap, SourcePlace, Tc, TcParent, Tcx, Uprobe,
    UprobeMulti, Xdp, XdpMode,
};
use purebpf::{AttachType, Link, Object, Program};

type Attach = fn(&Object, &Program, &str) -> anyhow::Result<Link>;

/// Places that no section names: what comes before the first slash, what comes after it, and what
/// it is.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, Attach)] = &[
    ("xdp", "DEVICE[/generic|native|offload]", "packets that a device receives", xdp),
    ("tcx", "DEVICE[/ingress|egress]", "packets of a device (6.6)", tcx),
    ("tc", "DEVICE/ingress|egress[/PRIORITY]", "packets of a device, by a filter", tc),
    ("netkit", "DEVICE[/primary|peer]", "packets of a netkit device (6.7)", netkit),
    ("cgroup", "PATH", "what processes of a cgroup do", cgroup),
    ("netns", "[PATH]", "socket look-ups, flow dissection of a network name space", netns),
    ("netfilter", "ipv4|ipv6/HOOK[/PRIORITY]", "prerouting, input, forward, output, postrouting (6.4)", netfilter),
    ("sockmap", "MAP", "sockets in a map of the object", sockmap),
    ("perf_event", "EVENT/CPU[/FREQUENCY]", "cpu-clock, page-faults or context-switches of a CPU", perf_event),
    ("line", "BINARY:FILE:LINE", "a line of source, by debug information", line),
    ("inlined", "BINARY:FUNCTION", "where a function was inlined", inlined),
];

/// A program and the place for it.
#[derive(Clone)]
pub(crate) struct At {
    pub(super) program: String,
    pub(super) place: String,
}

/// What `--at` takes.
pub(super) fn help() -> String {
    let mut text = "Attach a program elsewhere than its section says, or where that says nothing.\n\
        A place is written as a section (`kprobe/vfs_read`, `usdt/BINARY:PROVIDER:NAME`), or as one of:\n"
        .to_owned();
    for (kind, rest, what, _) in TABLE {
        let place = format!("{kind}/{rest}");
        // A string takes all.
        let _infallible = write!(text, "\n  {place}\n      {what}");
    }
    text
}

impl At {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((program, place)) if !program.is_empty() && !place.is_empty() => Ok(Self {
                program: program.to_owned(),
                place: place.to_owned(),
            }),
            _ => Err("expected PROGRAM=PLACE".to_owned()),
        }
    }

    pub(super) fn attach(&self, object: &Object) -> anyhow::Result<Link> {
        let (kind, rest) = self.place.split_once('/').unwrap_or((&self.place, ""));
        let program = object.program(&self.program)?;
        match TABLE.iter().find(|(known, ..)| *known == kind) {
            Some((_, expected, _, attach)) => {
                let attached = attach(object, &program, rest);
                attached.with_context(|| {
                    format!(
                        "program `{}` at {} ({kind}/{expected})",
                        self.program, self.place
                    )
                })
            }
            None => Ok(object.attach_as(&self.program, &self.place)?),
        }
    }
}

/// A part before a slash, and what may be after it.
fn parts(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    }
}

/// The value that a word stands for.
fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> anyhow::Result<T> {
    match known.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let known: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            bail!("`{text}` is none of {}", known.join(", "))
        }
    }
}

fn xdp(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let (device, mode) = parts(place);
    let target = Xdp::by_name(device)?;
    let target = match mode {
        None => target,
        Some(mode) => target.mode(word(
            mode,
            &[
                ("generic", XdpMode::Generic),
                ("native", XdpMode::Native),
                ("offload", XdpMode::Offload),
            ],
        )?),
    };
    Ok(program.attach(target)?)
}

fn tcx(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let (device, direction) = parts(place);
    let target = Tcx::by_name(device)?;
    let target = match direction {
        None => target,
        Some(direction) => target.attach_type(word(
            direction,
            &[
                ("ingress", AttachType::TCX_INGRESS),
                ("egress", AttachType::TCX_EGRESS),
            ],
        )?),
    };
    Ok(program.attach(target)?)
}

fn tc(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let (device, rest) = parts(place);
    let (direction, priority) = parts(rest.unwrap_or_default());
    let parent = word(
        direction,
        &[("ingress", TcParent::Ingress), ("egress", TcParent::Egress)],
    )?;
    let target = Tc::by_name(device, parent)?;
    let target = match priority {
        None => target,
        Some(priority) => target.priority(priority.parse().context("the priority")?),
    };
    Ok(program.attach(target)?)
}

fn netkit(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let (device, end) = parts(place);
    let target = Netkit::by_name(device)?;
    let target = match end {
        None => target,
        Some(end) => target.attach_type(word(
            end,
            &[
                ("primary", AttachType::NETKIT_PRIMARY),
                ("peer", AttachType::NETKIT_PEER),
            ],
        )?),
    };
    Ok(program.attach(target)?)
}

fn cgroup(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    Ok(program.attach(Cgroup::new(place))?)
}

fn netns(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let target = match place {
        "" => Netns::current(),
        path => Netns::new(path),
    };
    Ok(program.attach(target)?)
}

fn netfilter(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let (family, rest) = parts(place);
    let (hook, priority) = parts(rest.unwrap_or_default());
    // NFPROTO_*, NF_INET_*
    let family = word(family, &[("ipv4", 2), ("ipv6", 10)])?;
    let hook = word(
        hook,
        &[
            ("prerouting", 0),
            ("input", 1),
            ("forward", 2),
            ("output", 3),
            ("postrouting", 4),
        ],
    )?;
    let target = Netfilter::new(family, hook);
    let target = match priority {
        None => target,
        Some(priority) => target.priority(priority.parse().context("the priority")?),
    };
    Ok(program.attach(target)?)
}

fn sockmap(object: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    Ok(program.attach(Sockmap::new(&object.map(place)?))?)
}

fn perf_event(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let (event, rest) = parts(place);
    let (cpu, frequency) = parts(rest.unwrap_or_default());
    // PERF_COUNT_SW_*
    let event = word(
        event,
        &[
            ("cpu-clock", 0),
            ("page-faults", 2),
            ("context-switches", 3),
        ],
    )?;
    let target = PerfEvent::software(event).cpu(cpu.parse().context("the CPU")?);
    let target = match frequency {
        None => target.period(1),
        Some(frequency) => target.frequency(frequency.parse().context("the frequency")?),
    };
    Ok(program.attach(target)?)
}

fn line(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let mut parts = place.rsplitn(3, ':');
    let (Some(line), Some(file), Some(binary)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("there is a part missing");
    };
    source(
        program,
        binary,
        SourcePlace::line(file, line.parse().context("the line")?),
    )
}

fn inlined(_: &Object, program: &Program, place: &str) -> anyhow::Result<Link> {
    let (binary, function) = place.rsplit_once(':').context("there is a part missing")?;
    source(program, binary, SourcePlace::inlined(function))
}

/// At all places, if the program was loaded for many, or at the only one.
fn source(program: &Program, binary: &str, place: SourcePlace) -> anyhow::Result<Link> {
    let is_for_many = program.expected_attach_type() == Some(AttachType::TRACE_UPROBE_MULTI);
    Ok(match is_for_many {
        true => program.attach(UprobeMulti::source(binary, place))?,
        false => program.attach(Uprobe::new(binary).source(place))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_program() {
        let at = At::parse("count=xdp/eth0/generic").unwrap();
        assert_eq!((&*at.program, &*at.place), ("count", "xdp/eth0/generic"));
        for text in ["", "count", "=xdp/eth0", "count="] {
            assert!(At::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_kind_of_place_is_told_of() {
        let help = help();
        for (kind, rest, ..) in TABLE {
            assert!(help.contains(&format!("{kind}/{rest}")), "{kind}");
        }
    }
}
