//! `purebpf net`: what is attached to network devices and to the network name space.

use std::process::ExitCode;

use anyhow::Context as _;
use purebpf::attach::{Attached, Device, Netkit, Netns, TcFilter, TcParent, Tcx, XdpMode};
use purebpf::handles::{Errno, Error, LinkDetails, LinkId, ProgramId};
use purebpf::{AttachType, Link};
use serde_json::{Value, json};

use super::{Row, show};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this network device
    device: Option<String>,
    /// As JSON: a list of objects
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let devices = match &arguments.device {
        Some(name) => vec![Device::by_name(name)?],
        None => Device::all()?,
    };
    let filters = TcFilter::all()?;
    let mut rows = Vec::new();
    for device in &devices {
        on_device(device, &filters, &mut rows)
            .with_context(|| format!("network device `{}`", device.name))?;
    }
    if arguments.device.is_none() {
        in_name_space(&mut rows)?;
        netfilter(&mut rows)?;
    }
    show(&rows, &["device", "hook"], arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn on_device(device: &Device, filters: &[TcFilter], rows: &mut Vec<Row>) -> Result<(), Error> {
    let row = |hook: &str, program| row(Some(&device.name), hook, program);
    let ifindex = device.ifindex;
    rows.extend(device.xdp.programs().map(|(mode, program)| {
        let mode = match mode {
            XdpMode::Generic => "generic",
            XdpMode::Native => "native",
            XdpMode::Offload => "offload",
        };
        row("xdp", program).with("mode", mode)
    }));
    let direct = |how| Tcx::new(ifindex).attach_type(how).query();
    let netkit = |how| Netkit::new(ifindex).attach_type(how).query();
    for (how, found) in [
        (AttachType::TCX_INGRESS, direct(AttachType::TCX_INGRESS)),
        (AttachType::TCX_EGRESS, direct(AttachType::TCX_EGRESS)),
        (
            AttachType::NETKIT_PRIMARY,
            netkit(AttachType::NETKIT_PRIMARY),
        ),
        (AttachType::NETKIT_PEER, netkit(AttachType::NETKIT_PEER)),
    ] {
        let found = where_there_are(found)?.programs.into_iter();
        rows.extend(found.map(|entry| row(&how.to_string(), entry.program).link(entry.link)));
    }
    // They are in the order of devices.
    let start = filters.partition_point(|filter| filter.ifindex < ifindex);
    let filters = filters.get(start..).unwrap_or_default().iter();
    rows.extend(
        filters
            .take_while(|filter| filter.ifindex == ifindex)
            .map(|filter| {
                let hook = match filter.parent {
                    TcParent::Custom(_) => format!("tc {}", filter.parent),
                    parent => format!("tc_{parent}"),
                };
                row(&hook, filter.program)
                    .with("name", filter.name.as_str())
                    .with("priority", filter.priority)
                    .with("handle", filter.handle)
                    .with("chain", (filter.chain != 0).then_some(filter.chain))
                    .with("direct_action", filter.direct_action)
            }),
    );
    Ok(())
}

fn in_name_space(rows: &mut Vec<Row>) -> Result<(), Error> {
    for how in [AttachType::FLOW_DISSECTOR, AttachType::SK_LOOKUP] {
        let found = Netns::current().attach_type(how).query();
        let found = where_there_are(found)?.programs.into_iter();
        rows.extend(found.map(|entry| row(None, &how.to_string(), entry.program)));
    }
    Ok(())
}

/// Hooks of netfilter, which are found by their links, in all name spaces.
fn netfilter(rows: &mut Vec<Row>) -> Result<(), Error> {
    for id in LinkId::all() {
        let info = match id.and_then(Link::from_id).and_then(|link| link.info()) {
            // It is still being made, has gone in the meantime, or links have no ids here.
            Err(error) if is_not_there(error.errno()) => continue,
            info => info?,
        };
        if let LinkDetails::Netfilter {
            family,
            hook,
            priority,
            flags,
        } = info.details
        {
            let row = row(None, "netfilter", ProgramId(info.program_id));
            rows.push(
                row.link(Some(LinkId(info.id)))
                    .with("family", named(FAMILIES, family))
                    .with("hook", named(HOOKS, hook))
                    .with("priority", priority)
                    .with("defragments", flags & 1 != 0),
            );
        }
    }
    Ok(())
}

fn is_not_there(errno: Option<Errno>) -> bool {
    let not_there = [Errno::EAGAIN, Errno::ENOENT, Errno::EINVAL];
    errno.is_some_and(|errno| not_there.contains(&errno))
}

/// `NFPROTO_*`
const FAMILIES: &[(u32, &str)] = &[
    (1, "inet"),
    (2, "ip"),
    (3, "arp"),
    (5, "netdev"),
    (7, "bridge"),
    (10, "ip6"),
];
/// `NF_INET_*`
const HOOKS: &[(u32, &str)] = &[
    (0, "prerouting"),
    (1, "input"),
    (2, "forward"),
    (3, "output"),
    (4, "postrouting"),
];

fn named(names: &[(u32, &str)], number: u32) -> Value {
    let name = names.iter().find(|(known, _)| *known == number);
    name.map_or(json!(number), |(_, name)| json!(name))
}

fn row(device: Option<&str>, hook: &str, program: ProgramId) -> Row {
    Row::new(
        vec![("device", device.into()), ("hook", hook.into())],
        program,
    )
}

/// Nothing, where the kernel or the device has no such hook.
fn where_there_are(found: Result<Attached, Error>) -> Result<Attached, Error> {
    let has_none = [
        Errno::EINVAL,
        Errno::ENXIO,
        Errno::EACCES,
        Errno::EOPNOTSUPP,
    ];
    match found {
        Err(error) if error.errno().is_some_and(|errno| has_none.contains(&errno)) => {
            Ok(Attached::default())
        }
        // The device has gone in the meantime.
        Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(Attached::default()),
        found => found,
    }
}
