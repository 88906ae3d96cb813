//! What section names say about attaching: one table from prefix to mechanism.

use indexmap::IndexMap;
use purebpf_handles::{Error, Link, Map, Program, attach};
use purebpf_plan::{Feature, TargetKernel as _};

use crate::RunningKernel;

/// From a section's name, the program in it and the maps of its object.
type Attach = fn(&str, &Program, &IndexMap<String, Map>) -> Result<Option<Link>, Error>;

/// Attaches to what a mechanism reads in the section name; nothing if that names no target.
fn to<T: attach::Target>(
    target: Result<Option<T>, Error>,
    program: &Program,
) -> Result<Option<Link>, Error> {
    target?.map(|target| program.attach(target)).transpose()
}

/// Section names up to the first slash, and how programs in them are attached. A section that is
/// not here is attached by hand.
const TABLE: &[(&[&str], Attach)] = &[
    (&["kprobe", "kretprobe"], |s, p, _| {
        to(attach::Kprobe::from_section(s), p)
    }),
    (
        &["uprobe", "uprobe.s", "uretprobe", "uretprobe.s"],
        |s, p, _| to(attach::Uprobe::from_section(s), p),
    ),
    (&["ksyscall", "kretsyscall"], |s, p, _| {
        let wrapped = RunningKernel::get().has(Feature::SyscallWrapper);
        to(attach::Kprobe::from_syscall_section(s, wrapped), p)
    }),
    (
        &["kprobe.multi", "kretprobe.multi", "kprobe.session"],
        |s, p, _| to(attach::KprobeMulti::from_section(s), p),
    ),
    (
        &[
            "fentry.multi",
            "fentry.multi.s",
            "fexit.multi",
            "fexit.multi.s",
            "fsession.multi",
            "fsession.multi.s",
        ],
        |s, p, _| to(attach::TracingMulti::from_section(s), p),
    ),
    (
        &[
            "uprobe.multi",
            "uprobe.multi.s",
            "uretprobe.multi",
            "uretprobe.multi.s",
            "uprobe.session",
            "uprobe.session.s",
        ],
        |s, p, _| to(attach::UprobeMulti::from_section(s), p),
    ),
    (&["usdt", "usdt.s"], |section, program, maps| {
        let usdt = attach::Usdt::from_section(section);
        let map = |name| maps.get(name);
        let maps = map("__bpf_usdt_specs").zip(map("__bpf_usdt_ip_to_spec_id"));
        let usdt = usdt.map(|usdt| {
            usdt.map(|usdt| match maps {
                Some((specs, addresses)) => usdt.maps(specs, addresses),
                None => usdt,
            })
        });
        to(usdt, program)
    }),
    (&["tracepoint", "tracepoint.s", "tp", "tp.s"], |s, p, _| {
        to(attach::Tracepoint::from_section(s), p)
    }),
    (
        &[
            "raw_tracepoint",
            "raw_tracepoint.s",
            "raw_tracepoint.w",
            "raw_tp",
            "raw_tp.s",
            "raw_tp.w",
        ],
        |s, p, _| to(attach::RawTracepoint::from_section(s), p),
    ),
    (
        &[
            "tp_btf",
            "tp_btf.s",
            "fentry",
            "fentry.s",
            "fexit",
            "fexit.s",
            "fmod_ret",
            "fmod_ret.s",
            "fsession",
            "fsession.s",
            "lsm",
            "lsm.s",
            "freplace",
        ],
        |_, program, _| program.attach(attach::Trace::new()).map(Some),
    ),
    (&["iter", "iter.s"], |_, program, _| {
        program.attach(attach::Iter::new()).map(Some)
    }),
];

/// Attaches a program to what its section says; nothing if the section does not say it.
pub(crate) fn attach(
    program: &Program,
    section: &str,
    maps: &IndexMap<String, Map>,
) -> Result<Option<Link>, Error> {
    let prefix = section.split('/').next().unwrap_or_default();
    let row = TABLE
        .iter()
        .find(|(prefixes, _)| prefixes.contains(&prefix));
    row.map_or(Ok(None), |(_, attach)| attach(section, program, maps))
}
