//! What section names say about attaching: one table from prefix to mechanism.

use purebpf_handles::{Error, Link, Program, attach};

type Attach = fn(&str, &Program) -> Result<Option<Link>, Error>;

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
    (&["kprobe", "kretprobe"], |s, p| {
        to(attach::Kprobe::from_section(s), p)
    }),
    (
        &["uprobe", "uprobe.s", "uretprobe", "uretprobe.s"],
        |s, p| to(attach::Uprobe::from_section(s), p),
    ),
    (&["tracepoint", "tracepoint.s", "tp", "tp.s"], |s, p| {
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
        |s, p| to(attach::RawTracepoint::from_section(s), p),
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
        |_, program| program.attach(attach::Trace::new()).map(Some),
    ),
    (&["iter", "iter.s"], |_, program| {
        program.attach(attach::Iter::new()).map(Some)
    }),
];

/// Attaches a program to what its section says; nothing if the section does not say it.
pub(crate) fn attach(program: &Program, section: &str) -> Result<Option<Link>, Error> {
    let prefix = section.split('/').next().unwrap_or_default();
    let row = TABLE
        .iter()
        .find(|(prefixes, _)| prefixes.contains(&prefix));
    row.map_or(Ok(None), |(_, attach)| attach(section, program))
}
