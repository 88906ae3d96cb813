//! Links of every mechanism, made by one command.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use purebpf_insn::AttachType;

use crate::attach::{AttachPoint, Relative};
use crate::call::{Command, address, bpf_fd, length, raw};
use crate::{CallError, attr};

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
}
