//! Attaching: what is done to links, and the older attachments that have none.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use purebpf_insn::AttachType;

use crate::call::{Command, address_mut, bpf, bpf_fd, length, raw};
use crate::{CallError, attr};

/// `BPF_F_ID`: a relative place is given by id.
const FLAG_ID: u32 = 1 << 5;
/// `BPF_F_REPLACE` of a link update.
const FLAG_REPLACE: u32 = 1 << 2;

/// What something is attached to.
#[derive(Clone, Copy, Debug, Default)]
pub enum AttachPoint<'a> {
    /// Nothing but what the program itself names.
    #[default]
    None,
    /// A cgroup, a network name space, a perf event, a map, a program.
    Fd(BorrowedFd<'a>),
    /// A network device by index.
    Ifindex(u32),
}

impl AttachPoint<'_> {
    pub(crate) fn raw(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Fd(fd) => fd.as_raw_fd().cast_unsigned(),
            Self::Ifindex(index) => index,
        }
    }
}

/// Another program or link at the same point, before or after which one wants to be.
#[derive(Clone, Copy, Debug, Default)]
pub enum Relative<'a> {
    /// None.
    #[default]
    None,
    /// By fd: a program, or a link if the flags say so.
    Fd(BorrowedFd<'a>),
    /// By id; sets `BPF_F_ID` in the flags.
    Id(u32),
}

impl Relative<'_> {
    pub(crate) fn raw(self) -> (u32, u32) {
        match self {
            Self::None => (0, 0),
            Self::Fd(fd) => (fd.as_raw_fd().cast_unsigned(), 0),
            Self::Id(id) => (id, FLAG_ID),
        }
    }
}

/// Puts another program (or struct_ops map) behind a link (`BPF_LINK_UPDATE`, 5.7); with `old`,
/// only if that one is there now.
///
/// # Errors
/// What the kernel says.
pub fn link_update(
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: Option<BorrowedFd<'_>>,
) -> Result<(), CallError> {
    let mut attr = attr::LinkUpdate {
        link_fd: link.as_raw_fd(),
        new_prog_fd: new.as_raw_fd(),
        flags: if old.is_some() { FLAG_REPLACE } else { 0 },
        old_prog_fd: raw(old),
    };
    // SAFETY: the attribute holds no address.
    unsafe { bpf(Command::LINK_UPDATE, &mut attr) }.map(drop)
}

/// Detaches, though the link is still open or pinned (`BPF_LINK_DETACH`, 5.9).
///
/// # Errors
/// `EOPNOTSUPP` for a link that detaches only by being closed, and what the kernel says.
pub fn link_detach(link: BorrowedFd<'_>) -> Result<(), CallError> {
    let mut attr = attr::LinkDetach {
        link_fd: link.as_raw_fd(),
    };
    // SAFETY: the attribute holds no address.
    unsafe { bpf(Command::LINK_DETACH, &mut attr) }.map(drop)
}

/// A new run of an iterator, as an fd to read from (`BPF_ITER_CREATE`, 5.8).
///
/// # Errors
/// What the kernel says.
pub fn iter_create(link: BorrowedFd<'_>) -> Result<OwnedFd, CallError> {
    let mut attr = attr::IterCreate {
        link_fd: link.as_raw_fd(),
        flags: 0,
    };
    // SAFETY: the attribute holds no address; an fd comes back.
    unsafe { bpf_fd(Command::ITER_CREATE, &mut attr) }
}

/// Attaches to a raw tracepoint by name, or, without a name, to what the program was loaded for
/// (`BPF_RAW_TRACEPOINT_OPEN`, 4.17); a cookie needs 6.10.
///
/// # Errors
/// `ENOENT` without such a tracepoint, and what the kernel says.
pub fn raw_tracepoint_open(
    name: Option<&CStr>,
    program: BorrowedFd<'_>,
    cookie: u64,
) -> Result<OwnedFd, CallError> {
    let mut attr = attr::RawTracepointOpen {
        name: name.map_or(0, |name| name.as_ptr().expose_provenance() as u64),
        prog_fd: program.as_raw_fd(),
        pad: 0,
        cookie,
    };
    // SAFETY: the name ends with a zero; an fd comes back.
    unsafe { bpf_fd(Command::RAW_TRACEPOINT_OPEN, &mut attr) }
}

/// An attachment without a link (`BPF_PROG_ATTACH`, `BPF_PROG_DETACH`).
#[derive(Clone, Copy, Debug)]
pub struct ProgAttach<'a> {
    /// The point.
    pub target: AttachPoint<'a>,
    /// How.
    pub attach_type: AttachType,
    /// `BPF_F_*`.
    pub flags: u32,
    /// The program that the new one takes the place of.
    pub replace: Option<BorrowedFd<'a>>,
    /// Next to this one (6.6).
    pub relative: Relative<'a>,
    /// Refused if the point is at another revision; 0 is any (6.6).
    pub expected_revision: u64,
}

impl ProgAttach<'_> {
    fn attr(&self, program: Option<BorrowedFd<'_>>) -> attr::ProgAttach {
        let (relative, flag) = self.relative.raw();
        attr::ProgAttach {
            target_fd: self.target.raw(),
            attach_bpf_fd: raw(program),
            attach_type: self.attach_type.0,
            attach_flags: self.flags | flag,
            replace_bpf_fd: raw(self.replace),
            relative_fd: relative,
            expected_revision: self.expected_revision,
        }
    }
}

/// Attaches without a link; it lasts until [`prog_detach`] or the end of the point.
///
/// # Errors
/// What the kernel says.
pub fn prog_attach(program: BorrowedFd<'_>, params: &ProgAttach<'_>) -> Result<(), CallError> {
    let mut attr = params.attr(Some(program));
    // SAFETY: the attribute holds no address.
    unsafe { bpf(Command::PROG_ATTACH, &mut attr) }.map(drop)
}

/// Undoes [`prog_attach`]; points that take one program only need not be told which.
///
/// # Errors
/// What the kernel says.
pub fn prog_detach(
    program: Option<BorrowedFd<'_>>,
    params: &ProgAttach<'_>,
) -> Result<(), CallError> {
    let mut attr = params.attr(program);
    // SAFETY: the attribute holds no address.
    unsafe { bpf(Command::PROG_DETACH, &mut attr) }.map(drop)
}

/// A program at an attach point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryEntry {
    /// Id of the program.
    pub program_id: u32,
    /// Id of its link, 0 if it has none or this was not asked for.
    pub link_id: u32,
    /// Flags it was attached with, 0 if this was not asked for.
    pub flags: u32,
}

/// What is at an attach point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryOutcome {
    /// Flags of the point.
    pub attach_flags: u32,
    /// Goes up with every change, for points that have one.
    pub revision: u64,
    /// The programs, in the order in which they run.
    pub entries: Vec<QueryEntry>,
}

/// What more to ask of each program at a point; older kernels refuse what they do not know.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryMore {
    /// Link ids (6.6, tcx and netkit).
    pub links: bool,
    /// Attach flags (6.0).
    pub flags: bool,
}

/// Lists the programs at a point (`BPF_PROG_QUERY`, 4.15).
///
/// # Errors
/// What the kernel says.
pub fn prog_query(
    target: AttachPoint<'_>,
    attach_type: AttachType,
    query_flags: u32,
    more: QueryMore,
) -> Result<QueryOutcome, CallError> {
    let command = Command::PROG_QUERY;
    let question = attr::ProgQuery {
        target_fd: target.raw(),
        attach_type: attach_type.0,
        query_flags,
        ..Default::default()
    };
    let mut room = 0;
    // The list can grow between the question for its length and the one for its items.
    for _ in 0..8 {
        let list = |wanted: bool| vec![0_u32; if wanted { room } else { 0 }];
        let mut programs = list(true);
        let (mut links, mut flags) = (list(more.links), list(more.flags));
        let mut attr = attr::ProgQuery {
            prog_ids: address_mut(&mut programs),
            prog_cnt: length(command, &programs)?,
            link_ids: address_mut(&mut links),
            prog_attach_flags: address_mut(&mut flags),
            ..question
        };
        // SAFETY: each list is absent or has room for `count` items.
        let result = unsafe { bpf(command, &mut attr) };
        let count = attr.prog_cnt as usize;
        match result {
            Err(error) if error.errno() != Errno::ENOSPC => return Err(error),
            Ok(_) if count <= room => {
                let item = |list: &[u32], index| list.get(index).copied().unwrap_or(0);
                let entries = (0..count).map(|index| QueryEntry {
                    program_id: item(&programs, index),
                    link_id: item(&links, index),
                    flags: item(&flags, index),
                });
                return Ok(QueryOutcome {
                    attach_flags: attr.attach_flags,
                    revision: attr.revision,
                    entries: entries.collect(),
                });
            }
            _ => room = count,
        }
    }
    Err(CallError::new(command.name, Errno::ENOSPC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_by_id_sets_the_flag() {
        assert_eq!(Relative::Id(7).raw(), (7, 0x20));
        assert_eq!(Relative::None.raw(), (0, 0));
    }
}
