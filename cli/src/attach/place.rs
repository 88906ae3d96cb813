//! Places as they are written: what they say, without a kernel.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use purebpf::AttachType;
use purebpf::attach::{SourcePlace, TcParent, XdpMode};

type Read = fn(&str) -> anyhow::Result<Place<'_>>;

/// Places that no section names: what comes before the first slash, what comes after it, and what
/// it is.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, Read)] = &[
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

/// What a place says, by names that nobody has looked for yet.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    Xdp(&'a str, Option<XdpMode>),
    Tcx(&'a str, Option<AttachType>),
    Tc(&'a str, TcParent, Option<u16>),
    Netkit(&'a str, Option<AttachType>),
    Cgroup(&'a str),
    Netns(&'a str),
    /// Family, hook, priority.
    Netfilter(u32, u32, Option<i32>),
    Sockmap(&'a str),
    /// Event, CPU, frequency.
    PerfEvent(u64, u32, Option<u64>),
    /// In a binary.
    Source(&'a str, SourcePlace),
    /// As sections have it.
    Section(&'a str),
}

/// A program and the place for it.
#[derive(Clone)]
pub(crate) struct At {
    pub(crate) program: String,
    pub(crate) place: String,
}

/// What `--at` takes.
pub(crate) fn help() -> String {
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
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((program, place)) if !program.is_empty() && !place.is_empty() => Ok(Self {
                program: program.to_owned(),
                place: place.to_owned(),
            }),
            _ => Err("expected PROGRAM=PLACE".to_owned()),
        }
    }

    /// What the place says.
    pub(crate) fn read(&self) -> anyhow::Result<Place<'_>> {
        let (kind, rest) = parts(&self.place);
        match TABLE.iter().find(|(known, ..)| *known == kind) {
            Some((.., read)) => read(rest.unwrap_or_default()),
            None => Ok(Place::Section(&self.place)),
        }
    }

    /// How it is written, for errors about places that no section names.
    pub(crate) fn expected(&self) -> Option<String> {
        let (kind, _) = parts(&self.place);
        let row = TABLE.iter().find(|(known, ..)| *known == kind)?;
        Some(format!("{kind}/{}", row.1))
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

fn xdp(place: &str) -> anyhow::Result<Place<'_>> {
    let (device, mode) = parts(place);
    let known = [
        ("generic", XdpMode::Generic),
        ("native", XdpMode::Native),
        ("offload", XdpMode::Offload),
    ];
    let mode = mode.map(|mode| word(mode, &known)).transpose()?;
    Ok(Place::Xdp(device, mode))
}

fn tcx(place: &str) -> anyhow::Result<Place<'_>> {
    let (device, direction) = parts(place);
    let known = [
        ("ingress", AttachType::TCX_INGRESS),
        ("egress", AttachType::TCX_EGRESS),
    ];
    let direction = direction.map(|direction| word(direction, &known));
    Ok(Place::Tcx(device, direction.transpose()?))
}

fn tc(place: &str) -> anyhow::Result<Place<'_>> {
    let (device, rest) = parts(place);
    let (direction, priority) = parts(rest.unwrap_or_default());
    let known = [("ingress", TcParent::Ingress), ("egress", TcParent::Egress)];
    let parent = word(direction, &known)?;
    let priority = priority.map(str::parse).transpose();
    Ok(Place::Tc(device, parent, priority.context("the priority")?))
}

fn netkit(place: &str) -> anyhow::Result<Place<'_>> {
    let (device, end) = parts(place);
    let known = [
        ("primary", AttachType::NETKIT_PRIMARY),
        ("peer", AttachType::NETKIT_PEER),
    ];
    let end = end.map(|end| word(end, &known)).transpose()?;
    Ok(Place::Netkit(device, end))
}

fn cgroup(place: &str) -> anyhow::Result<Place<'_>> {
    Ok(Place::Cgroup(place))
}

fn netns(place: &str) -> anyhow::Result<Place<'_>> {
    Ok(Place::Netns(place))
}

fn netfilter(place: &str) -> anyhow::Result<Place<'_>> {
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
    let priority = priority.map(str::parse).transpose();
    Ok(Place::Netfilter(
        family,
        hook,
        priority.context("the priority")?,
    ))
}

fn sockmap(place: &str) -> anyhow::Result<Place<'_>> {
    Ok(Place::Sockmap(place))
}

fn perf_event(place: &str) -> anyhow::Result<Place<'_>> {
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
    let cpu = cpu.parse().context("the CPU")?;
    let frequency = frequency.map(str::parse).transpose();
    Ok(Place::PerfEvent(
        event,
        cpu,
        frequency.context("the frequency")?,
    ))
}

fn line(place: &str) -> anyhow::Result<Place<'_>> {
    let mut parts = place.rsplitn(3, ':');
    let (Some(line), Some(file), Some(binary)) = (parts.next(), parts.next(), parts.next()) else {
        bail!("there is a part missing");
    };
    let line = line.parse().context("the line")?;
    Ok(Place::Source(binary, SourcePlace::line(file, line)))
}

fn inlined(place: &str) -> anyhow::Result<Place<'_>> {
    let (binary, function) = place.rsplit_once(':').context("there is a part missing")?;
    Ok(Place::Source(binary, SourcePlace::inlined(function)))
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

    #[test]
    fn a_place_is_read_as_it_is_told_of() {
        let read = |place: &str| {
            let at = At::parse(&format!("program={place}")).unwrap();
            at.read().map(|place| format!("{place:?}"))
        };
        for (place, expected) in [
            ("xdp/eth0", r#"Xdp("eth0", None)"#),
            ("xdp/eth0/native", r#"Xdp("eth0", Some(Native))"#),
            ("tc/eth0/egress/7", r#"Tc("eth0", Egress, Some(7))"#),
            ("netns", r#"Netns("")"#),
            ("netfilter/ipv6/input/-5", "Netfilter(10, 1, Some(-5))"),
            ("perf_event/cpu-clock/3", "PerfEvent(0, 3, None)"),
            ("kprobe/vfs_read", r#"Section("kprobe/vfs_read")"#),
        ] {
            assert_eq!(read(place).unwrap(), expected);
        }
        for place in [
            "xdp/eth0/",
            "tc/eth0",
            "tc/eth0/egress/x",
            "line/a:1",
            "inlined/a",
        ] {
            assert!(read(place).is_err(), "{place}");
        }
    }
}
