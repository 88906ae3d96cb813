//! Attaching: links, and the older attachments that have none.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use purebpf_insn::AttachType;

use crate::call::{Command, address, address_mut, bpf, bpf_fd, length, raw};
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
    fn raw(self) -> u32 {
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
    fn raw(self) -> (u32, u32) {
        match self {
            Self::None => (0, 0),
            Self::Fd(fd) => (fd.as_raw_fd().cast_unsigned(), 0),
            Self::Id(id) => (id, FLAG_ID),
        }
    }
}

/// What an iterator walks (`union bpf_iter_link_info`).
#[derive(Clone, Copy, Debug)]
pub enum IterTarget<'a> {
    /// The elements of a map.
    Map(BorrowedFd<'a>),
    /// Cgroups from one on, in an `order` of `enum bpf_cgroup_iter_order`; without an fd the root.
    Cgroup {
        /// 1 only itself, 2 itself before its descendants, 3 after them, 4 itself and its ancestors.
        order: u32,
        /// Where to begin.
        cgroup: Option<BorrowedFd<'a>>,
    },
    /// The tasks of one thread or process; zero is any.
    Task {
        /// Thread id.
        tid: u32,
        /// Process id.
        pid: u32,
    },
}

impl IterTarget<'_> {
    fn words(self) -> [u32; 4] {
        match self {
            Self::Map(map) => bytemuck::cast(attr::IterMap {
                map_fd: map.as_raw_fd(),
                ..Default::default()
            }),
            Self::Cgroup { order, cgroup } => bytemuck::cast(attr::IterCgroup {
                order,
                cgroup_fd: raw(cgroup),
                cgroup_id: 0,
            }),
            Self::Task { tid, pid } => bytemuck::cast(attr::IterTask {
                tid,
                pid,
                ..Default::default()
            }),
        }
    }
}

/// The part of `BPF_LINK_CREATE` that depends on the mechanism.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum LinkOptions<'a> {
    /// Nothing more.
    #[default]
    None,
    /// A perf event.
    PerfEvent {
        /// What `bpf_get_attach_cookie` returns.
        cookie: u64,
    },
    /// A function of the kernel or of another program.
    Tracing {
        /// Type id of the function, if it is another than the program was loaded for.
        target_btf_id: u32,
        /// What `bpf_get_attach_cookie` returns.
        cookie: u64,
    },
    /// An iterator with something to walk.
    Iter(IterTarget<'a>),
    /// Many kernel functions, by name or by address.
    KprobeMulti {
        /// 1: at return.
        flags: u32,
        /// Names; empty if addresses are given.
        symbols: &'a [&'a CStr],
        /// Addresses; empty if names are given.
        addresses: &'a [u64],
        /// One cookie each, or empty.
        cookies: &'a [u64],
    },
    /// Many places of a binary.
    UprobeMulti {
        /// The binary.
        path: &'a CStr,
        /// Offsets in the file, bytes.
        offsets: &'a [u64],
        /// Offset of a semaphore each, or empty.
        ref_ctr_offsets: &'a [u64],
        /// One cookie each, or empty.
        cookies: &'a [u64],
        /// 1: at return.
        flags: u32,
        /// Only this process; 0 is all.
        pid: u32,
    },
    /// A netfilter hook.
    Netfilter {
        /// Protocol family, `NFPROTO_*`.
        family: u32,
        /// Hook, `NF_INET_*`.
        hook: u32,
        /// Place among the hooks, ascending.
        priority: i32,
        /// `BPF_F_NETFILTER_*`.
        flags: u32,
    },
    /// A place among the programs of a tcx, netkit or cgroup attach point.
    Relative {
        /// Next to this one.
        relative: Relative<'a>,
        /// Refused if the point is at another revision; 0 is any.
        expected_revision: u64,
    },
    /// Many functions by BTF id.
    TracingMulti {
        /// Type ids of the functions.
        ids: &'a [u32],
        /// One cookie each, or empty.
        cookies: &'a [u64],
    },
}

/// What a link is made of (`BPF_LINK_CREATE`).
#[derive(Clone, Copy, Debug)]
pub struct LinkCreate<'a> {
    /// The program, or a struct_ops map.
    pub program: BorrowedFd<'a>,
    /// What it is attached to.
    pub target: AttachPoint<'a>,
    /// How.
    pub attach_type: AttachType,
    /// Flags of the attach point, `BPF_F_*`.
    pub flags: u32,
    /// The rest.
    pub options: LinkOptions<'a>,
}

/// Attaches by a new link (`BPF_LINK_CREATE`, 5.7).
///
/// # Errors
/// `EINVAL` for lists of different lengths, and what the kernel says.
pub fn link_create(params: &LinkCreate<'_>) -> Result<OwnedFd, CallError> {
    let command = Command::LINK_CREATE;
    let mut head = attr::LinkHead {
        prog_fd: params.program.as_raw_fd(),
        target_fd: params.target.raw(),
        attach_type: params.attach_type.0,
        flags: params.flags,
    };
    match params.options {
        // SAFETY: no address; an fd comes back.
        LinkOptions::None => unsafe { bpf_fd(command, &mut head) },
        LinkOptions::PerfEvent { cookie } => {
            let mut attr = attr::LinkPerfEvent {
                head,
                bpf_cookie: cookie,
            };
            // SAFETY: no address; an fd comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
        LinkOptions::Tracing {
            target_btf_id,
            cookie,
        } => {
            let mut attr = attr::LinkTracing {
                head,
                target_btf_id,
                pad: 0,
                cookie,
            };
            // SAFETY: no address; an fd comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
        LinkOptions::Iter(target) => {
            let words = target.words();
            let mut attr = attr::LinkIter {
                head,
                iter_info: address(&words),
                iter_info_len: size_of_val(&words) as u32,
                pad: 0,
            };
            // SAFETY: the address is of 16 bytes, the length says so; an fd comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
        LinkOptions::KprobeMulti {
            flags,
            symbols,
            addresses,
            cookies,
        } => {
            let names: Vec<u64> = symbols
                .iter()
                .map(|name| name.as_ptr().expose_provenance() as u64)
                .collect();
            let count = names.len().max(addresses.len());
            same_length(
                command,
                count,
                [names.len(), addresses.len(), cookies.len()],
            )?;
            let mut attr = attr::LinkKprobeMulti {
                head,
                flags,
                cnt: count_of(command, count)?,
                syms: address(&names),
                addrs: address(addresses),
                cookies: address(cookies),
            };
            // SAFETY: each list is absent or has `count` items, names end with a zero; an fd
            // comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
        LinkOptions::UprobeMulti {
            path,
            offsets,
            ref_ctr_offsets,
            cookies,
            flags,
            pid,
        } => {
            same_length(
                command,
                offsets.len(),
                [ref_ctr_offsets.len(), cookies.len(), 0],
            )?;
            let mut attr = attr::LinkUprobeMulti {
                head,
                path: path.as_ptr().expose_provenance() as u64,
                offsets: address(offsets),
                ref_ctr_offsets: address(ref_ctr_offsets),
                cookies: address(cookies),
                cnt: length(command, offsets)?,
                flags,
                pid,
                path_fd: 0,
            };
            // SAFETY: each list is absent or has `count` items, the path ends with a zero; an fd
            // comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
        LinkOptions::Netfilter {
            family,
            hook,
            priority,
            flags,
        } => {
            let mut attr = attr::LinkNetfilter {
                head,
                pf: family,
                hooknum: hook,
                priority,
                flags,
            };
            // SAFETY: no address; an fd comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
        LinkOptions::Relative {
            relative,
            expected_revision,
        } => {
            let (relative, flag) = relative.raw();
            head.flags |= flag;
            let mut attr = attr::LinkRelative {
                head,
                relative_fd: relative,
                pad: 0,
                expected_revision,
            };
            // SAFETY: no address; an fd comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
        LinkOptions::TracingMulti { ids, cookies } => {
            same_length(command, ids.len(), [cookies.len(), 0, 0])?;
            let mut attr = attr::LinkTracingMulti {
                head,
                ids: address(ids),
                cookies: address(cookies),
                cnt: length(command, ids)?,
                pad: 0,
            };
            // SAFETY: each list is absent or has `count` items; an fd comes back.
            unsafe { bpf_fd(command, &mut attr) }
        }
    }
}

/// Refuses lists that are neither absent nor `count` long: the kernel reads `count` items of each.
fn same_length(command: Command, count: usize, lists: [usize; 3]) -> Result<(), CallError> {
    if lists.iter().all(|len| *len == 0 || *len == count) {
        Ok(())
    } else {
        Err(CallError::new(command.name, Errno::EINVAL))
    }
}

fn count_of(command: Command, count: usize) -> Result<u32, CallError> {
    u32::try_from(count).map_err(|_| CallError::new(command.name, Errno::E2BIG))
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
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn lists_of_different_lengths_never_reach_the_kernel() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let create = |options| {
            let params = LinkCreate {
                program: file.as_fd(),
                target: AttachPoint::None,
                attach_type: AttachType::TRACE_UPROBE_MULTI,
                flags: 0,
                options,
            };
            link_create(&params).unwrap_err().errno()
        };
        let options = |cookies| LinkOptions::UprobeMulti {
            path: c"/",
            offsets: &[1, 2],
            ref_ctr_offsets: &[],
            cookies,
            flags: 0,
            pid: 0,
        };
        assert_eq!(create(options(&[1])), Errno::EINVAL);
        let command = Command::LINK_CREATE;
        assert!(same_length(command, 2, [2, 0, 2]).is_ok());
        assert!(same_length(command, 2, [2, 3, 2]).is_err());
    }

    #[test]
    fn relative_by_id_sets_the_flag() {
        assert_eq!(Relative::Id(7).raw(), (7, 0x20));
        assert_eq!(Relative::None.raw(), (0, 0));
    }
}
