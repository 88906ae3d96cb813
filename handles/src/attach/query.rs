//! What is attached at a point, by `BPF_PROG_QUERY`.

use std::fmt::Display;

use purebpf_insn::AttachType;
use purebpf_syscall::host::release;
use purebpf_syscall::{AttachPoint, QueryMore, prog_query};

use crate::{Error, LinkId, ProgramId};

/// The programs at an attach point, in the order in which they run.
#[doc(alias = "bpf_prog_query_opts")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attached {
    /// The programs.
    pub programs: Vec<AttachedProgram>,
    /// `BPF_F_*` of the point: of a cgroup 1 if a descendant may override its program, 2 if it has
    /// many.
    pub flags: u32,
    /// Goes up with every change, for [`Place::expected_revision`](super::Place::expected_revision);
    /// `None` where the kernel counts none (before 6.6; of cgroups before 6.17).
    pub revision: Option<u64>,
}

/// A program at an attach point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachedProgram {
    /// The program.
    pub program: ProgramId,
    /// The link that it is attached by. The kernel tells this of tcx and netkit.
    pub link: Option<LinkId>,
    /// `BPF_F_*` that it was attached with. The kernel tells this of cgroups (6.0).
    pub flags: u32,
}

/// What a point can tell of its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    Programs,
    /// Of tcx and netkit.
    Links,
    /// Of a cgroup alone.
    Flags,
    /// Of a cgroup, with what its ancestors add.
    Effective,
}

pub(super) fn query(
    object: &dyn Display,
    point: AttachPoint<'_>,
    attach_type: AttachType,
    tells: Tells,
) -> Result<Attached, Error> {
    /// `BPF_F_QUERY_EFFECTIVE`
    const EFFECTIVE: u32 = 1;
    let has_flags = release().is_ok_and(|running| running >= (6, 0, 0));
    let more = QueryMore {
        links: tells == Tells::Links,
        flags: tells == Tells::Flags && has_flags,
    };
    let flags = if tells == Tells::Effective {
        EFFECTIVE
    } else {
        0
    };
    let found = prog_query(point, attach_type, flags, more)
        .map_err(Error::call(object, "ask what is attached"))?;
    let programs = found.entries.into_iter().map(|entry| AttachedProgram {
        program: ProgramId(entry.program_id),
        link: (entry.link_id != 0).then_some(LinkId(entry.link_id)),
        flags: entry.flags,
    });
    Ok(Attached {
        programs: programs.collect(),
        flags: found.attach_flags,
        revision: (found.revision != 0).then_some(found.revision),
    })
}

/// The attach type, which a question needs.
pub(super) fn needed(object: &dyn Display, given: Option<AttachType>) -> Result<AttachType, Error> {
    given.ok_or_else(|| Error::invalid(object, "set the attach type to ask for"))
}
