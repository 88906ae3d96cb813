//! What the kernel tells of a link: common to all, and by type.

use std::os::fd::BorrowedFd;

use bytemuck::{Pod, Zeroable};
use purebpf_insn::{AttachType, LinkType};

use crate::call::{address_mut, stored_name};
use crate::info::{check_kind, fill};
use crate::{CallError, ObjectKind};

/// A link, as the kernel sees it (`struct bpf_link_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// Type.
    pub link_type: LinkType,
    /// Id.
    pub id: u32,
    /// Id of the program, 0 if it has none (struct_ops).
    pub program_id: u32,
    /// What it is attached to.
    pub details: LinkDetails,
}

/// What a link is attached to. Cookies and names that the running kernel does not tell are 0 and
/// empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the kernel's own, by its names")]
pub enum LinkDetails {
    /// Raw tracepoint.
    RawTracepoint { name: String, cookie: u64 },
    /// Function by BTF id.
    Tracing {
        attach_type: AttachType,
        target_obj_id: u32,
        target_btf_id: u32,
        cookie: u64,
    },
    /// Cgroup.
    Cgroup {
        cgroup_id: u64,
        attach_type: AttachType,
    },
    /// Iterator: what it is called, and what of it is walked.
    Iter {
        target_name: String,
        of: IterDetails,
    },
    /// Network name space.
    Netns {
        netns_ino: u32,
        attach_type: AttachType,
    },
    /// XDP; `ifindex` is 0 once detached.
    Xdp { ifindex: u32 },
    /// struct_ops.
    StructOps { map_id: u32 },
    /// Netfilter hook.
    Netfilter {
        family: u32,
        hook: u32,
        priority: i32,
        flags: u32,
    },
    /// Many kernel functions (6.6); of each the address, zero without the right to see it, and the
    /// cookie (6.9).
    KprobeMulti {
        count: u32,
        flags: u32,
        missed: u64,
        addresses: Vec<u64>,
        cookies: Vec<u64>,
    },
    /// Many places of a binary (6.8), by their offsets in it.
    UprobeMulti {
        path: String,
        count: u32,
        flags: u32,
        pid: u32,
        offsets: Vec<u64>,
        ref_ctr_offsets: Vec<u64>,
        cookies: Vec<u64>,
    },
    /// User function or its return (6.6).
    Uprobe {
        path: String,
        offset: u32,
        retprobe: bool,
        cookie: u64,
    },
    /// Kernel function or its return (6.6).
    Kprobe {
        function: String,
        offset: u32,
        address: u64,
        missed: u64,
        retprobe: bool,
        cookie: u64,
    },
    /// Tracepoint (6.6).
    Tracepoint { name: String, cookie: u64 },
    /// Other perf event: type and config of `perf_event_attr` (6.6).
    PerfEvent {
        event_type: u32,
        config: u64,
        cookie: u64,
    },
    /// tcx.
    Tcx {
        ifindex: u32,
        attach_type: AttachType,
    },
    /// netkit.
    Netkit {
        ifindex: u32,
        attach_type: AttachType,
    },
    /// Sockmap.
    Sockmap {
        map_id: u32,
        attach_type: AttachType,
    },
    /// A type that this table does not know, or about which the kernel tells nothing.
    Other,
}

/// What an iterator walks through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the kernel's own, by its names")]
pub enum IterDetails {
    /// All there is, or what the kernel does not tell.
    All,
    /// The elements of a map (5.10).
    Map { map_id: u32 },
    /// Cgroups from this one on, in an order of `enum bpf_cgroup_iter_order` (6.1).
    Cgroup { cgroup_id: u64, order: u32 },
    /// The tasks of a thread or process; zero is any (6.1).
    Task { tid: u32, pid: u32 },
}

#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct RawLink {
    link_type: u32,
    id: u32,
    program_id: u32,
    pad: u32,
    body: [u64; 6],
}

const _: () = assert!(size_of::<RawLink>() == 64);

impl RawLink {
    /// The number at this byte offset of the whole block, which is a multiple of 4.
    fn u32(&self, offset: usize) -> u32 {
        bytemuck::cast_slice::<u64, u32>(&self.body)
            .get((offset - 16) / 4)
            .copied()
            .unwrap_or(0)
    }

    /// The number at this byte offset of the whole block, which is a multiple of 8.
    fn u64(&self, offset: usize) -> u64 {
        self.body.get((offset - 16) / 8).copied().unwrap_or(0)
    }

    fn set_u64(&mut self, offset: usize, value: u64) {
        if let Some(word) = self.body.get_mut((offset - 16) / 8) {
            *word = value;
        }
    }

    fn set_u32(&mut self, offset: usize, value: u32) {
        let words = bytemuck::cast_slice_mut::<u64, u32>(&mut self.body);
        if let Some(word) = words.get_mut((offset - 16) / 4) {
            *word = value;
        }
    }
}

/// Byte offsets of a name's address and length.
#[derive(Clone, Copy)]
struct NamePlace {
    address: usize,
    len: usize,
}

/// Byte offsets of the addresses of several arrays, and of the number of words that each has.
#[derive(Clone, Copy)]
struct ArrayPlaces {
    addresses: &'static [usize],
    count: usize,
}

/// Where a link of this sort has arrays to fill in.
fn array_places(raw: &RawLink) -> ArrayPlaces {
    let (addresses, count): (&[usize], _) = match LinkType(raw.link_type) {
        LinkType::KPROBE_MULTI => (&[16, 40], 24),
        LinkType::UPROBE_MULTI => (&[24, 32, 40], 52),
        _ => (&[], 16),
    };
    ArrayPlaces { addresses, count }
}

/// Where a link of this sort has a name to fill in, if it has one.
fn name_place(raw: &RawLink) -> Option<NamePlace> {
    match (LinkType(raw.link_type), raw.u32(16)) {
        (LinkType::RAW_TRACEPOINT | LinkType::ITER, _) => Some(NamePlace {
            address: 16,
            len: 24,
        }),
        (LinkType::UPROBE_MULTI, _) => Some(NamePlace {
            address: 16,
            len: 48,
        }),
        (LinkType::PERF_EVENT, UPROBE..=TRACEPOINT) => Some(NamePlace {
            address: 24,
            len: 32,
        }),
        _ => None,
    }
}

// `enum bpf_perf_event_type`
const UPROBE: u32 = 1;
const URETPROBE: u32 = 2;
const KPROBE: u32 = 3;
const KRETPROBE: u32 = 4;
const TRACEPOINT: u32 = 5;
const EVENT: u32 = 6;

/// Asks about a link (5.8).
///
/// # Errors
/// `EINVAL` for an fd that is no link, and what the kernel says.
pub fn link_info(fd: BorrowedFd<'_>) -> Result<LinkInfo, CallError> {
    check_kind(fd, ObjectKind::Link)?;
    let mut raw = RawLink::default();
    // SAFETY: all zero.
    unsafe { fill(fd, &mut raw) }?;
    let parts = parts(fd, &mut raw);
    Ok(LinkInfo {
        link_type: LinkType(raw.link_type),
        id: raw.id,
        program_id: raw.program_id,
        details: details(&raw, parts),
    })
}

/// What is not in the block itself.
#[derive(Default)]
struct Parts {
    name: String,
    arrays: Vec<Vec<u64>>,
}

impl Parts {
    fn array(&mut self, index: usize) -> Vec<u64> {
        self.arrays
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

/// Asks again, for name and arrays. A kernel that does not know the last of the arrays refuses the block: it
/// is asked for fewer, and told nothing of what it cannot tell.
fn parts(fd: BorrowedFd<'_>, raw: &mut RawLink) -> Parts {
    let (place, places) = (name_place(raw), array_places(raw));
    let count = raw.u32(places.count);
    let all = match count {
        0 => 0,
        _ => places.addresses.len(),
    };
    if place.is_none() && all == 0 {
        return Parts::default();
    }
    for arrays in [all, all.saturating_sub(1), 0] {
        // The length of the longest path, which no other name comes near.
        let mut name = vec![0_u8; 4096];
        let mut lists = vec![vec![0_u64; count as usize]; arrays];
        let mut asked = RawLink::default();
        if let Some(place) = place {
            asked.set_u64(place.address, address_mut(&mut name));
            asked.set_u32(place.len, name.len() as u32);
        }
        for (list, offset) in lists.iter_mut().zip(places.addresses) {
            asked.set_u64(*offset, address_mut(list));
            asked.set_u32(places.count, count);
        }
        // SAFETY: a link of this type; the name has the length said, each list has room for `count`.
        if unsafe { fill(fd, &mut asked) }.is_ok() {
            *raw = asked;
            return Parts {
                name: place.map_or_else(String::new, |_| stored_name(&name)),
                arrays: lists,
            };
        }
    }
    Parts::default()
}

fn details(raw: &RawLink, mut parts: Parts) -> LinkDetails {
    let attach_type = |offset| AttachType(raw.u32(offset));
    let name = std::mem::take(&mut parts.name);
    match LinkType(raw.link_type) {
        LinkType::RAW_TRACEPOINT => LinkDetails::RawTracepoint {
            name,
            cookie: raw.u64(32),
        },
        LinkType::TRACING => LinkDetails::Tracing {
            attach_type: attach_type(16),
            target_obj_id: raw.u32(20),
            target_btf_id: raw.u32(24),
            cookie: raw.u64(32),
        },
        LinkType::CGROUP => LinkDetails::Cgroup {
            cgroup_id: raw.u64(16),
            attach_type: attach_type(24),
        },
        LinkType::ITER => LinkDetails::Iter {
            of: iterator(raw, &name),
            target_name: name,
        },
        LinkType::NETNS => LinkDetails::Netns {
            netns_ino: raw.u32(16),
            attach_type: attach_type(20),
        },
        LinkType::XDP => LinkDetails::Xdp {
            ifindex: raw.u32(16),
        },
        LinkType::STRUCT_OPS => LinkDetails::StructOps {
            map_id: raw.u32(16),
        },
        LinkType::NETFILTER => LinkDetails::Netfilter {
            family: raw.u32(16),
            hook: raw.u32(20),
            priority: raw.u32(24).cast_signed(),
            flags: raw.u32(28),
        },
        LinkType::KPROBE_MULTI => LinkDetails::KprobeMulti {
            count: raw.u32(24),
            flags: raw.u32(28),
            missed: raw.u64(32),
            addresses: parts.array(0),
            cookies: parts.array(1),
        },
        LinkType::UPROBE_MULTI => LinkDetails::UprobeMulti {
            path: name,
            count: raw.u32(52),
            flags: raw.u32(56),
            pid: raw.u32(60),
            offsets: parts.array(0),
            ref_ctr_offsets: parts.array(1),
            cookies: parts.array(2),
        },
        LinkType::PERF_EVENT => perf_event(raw, name),
        LinkType::TCX => LinkDetails::Tcx {
            ifindex: raw.u32(16),
            attach_type: attach_type(20),
        },
        LinkType::NETKIT => LinkDetails::Netkit {
            ifindex: raw.u32(16),
            attach_type: attach_type(20),
        },
        LinkType::SOCKMAP => LinkDetails::Sockmap {
            map_id: raw.u32(16),
            attach_type: attach_type(20),
        },
        _ => LinkDetails::Other,
    }
}

/// The kernel has a place for each sort of target, and says by the name which of them counts.
fn iterator(raw: &RawLink, name: &str) -> IterDetails {
    match name {
        "bpf_map_elem" | "bpf_sk_storage_map" => IterDetails::Map {
            map_id: raw.u32(28),
        },
        "cgroup" => IterDetails::Cgroup {
            cgroup_id: raw.u64(32),
            order: raw.u32(40),
        },
        "task" | "task_file" | "task_vma" => IterDetails::Task {
            tid: raw.u32(32),
            pid: raw.u32(36),
        },
        _ => IterDetails::All,
    }
}

fn perf_event(raw: &RawLink, name: String) -> LinkDetails {
    match raw.u32(16) {
        kind @ (UPROBE | URETPROBE) => LinkDetails::Uprobe {
            path: name,
            offset: raw.u32(36),
            retprobe: kind == URETPROBE,
            cookie: raw.u64(40),
        },
        kind @ (KPROBE | KRETPROBE) => LinkDetails::Kprobe {
            function: name,
            offset: raw.u32(36),
            address: raw.u64(40),
            missed: raw.u64(48),
            retprobe: kind == KRETPROBE,
            cookie: raw.u64(56),
        },
        TRACEPOINT => LinkDetails::Tracepoint {
            name,
            cookie: raw.u64(40),
        },
        EVENT => LinkDetails::PerfEvent {
            config: raw.u64(24),
            event_type: raw.u32(32),
            cookie: raw.u64(40),
        },
        _ => LinkDetails::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(link_type: LinkType, words: &[(usize, u32)]) -> RawLink {
        let mut raw = RawLink {
            link_type: link_type.0,
            ..Default::default()
        };
        for (offset, value) in words {
            bytemuck::cast_slice_mut::<u64, u32>(&mut raw.body)[(offset - 16) / 4] = *value;
        }
        raw
    }

    fn named(name: &str) -> Parts {
        Parts {
            name: name.into(),
            ..Parts::default()
        }
    }

    #[test]
    fn what_is_walked_is_said_by_the_name() {
        let link = raw(LinkType::ITER, &[(28, 7), (32, 8), (36, 9), (40, 2)]);
        let of = |name| match details(&link, named(name)) {
            LinkDetails::Iter { of, .. } => of,
            other => panic!("{other:?}"),
        };
        assert_eq!(of("bpf_map_elem"), IterDetails::Map { map_id: 7 });
        assert_eq!(of("task"), IterDetails::Task { tid: 8, pid: 9 });
        assert!(matches!(of("cgroup"), IterDetails::Cgroup { order: 2, .. }));
        assert_eq!(of("bpf_map"), IterDetails::All);
    }

    #[test]
    fn details_follow_the_layout_of_the_type() {
        let link = raw(
            LinkType::NETFILTER,
            &[(16, 2), (20, 4), (24, u32::MAX), (28, 1)],
        );
        assert_eq!(
            details(&link, Parts::default()),
            LinkDetails::Netfilter {
                family: 2,
                hook: 4,
                priority: -1,
                flags: 1
            }
        );
        let link = raw(LinkType::PERF_EVENT, &[(16, URETPROBE), (36, 0x40)]);
        assert_eq!(
            details(&link, named("/bin/sh")),
            LinkDetails::Uprobe {
                path: "/bin/sh".into(),
                offset: 0x40,
                retprobe: true,
                cookie: 0
            }
        );
    }

    #[test]
    fn a_name_goes_where_the_type_has_it() {
        let mut link = raw(LinkType::PERF_EVENT, &[(16, TRACEPOINT)]);
        let place = name_place(&link).unwrap();
        link.set_u64(place.address, 0x1234);
        link.set_u32(place.len, 99);
        assert_eq!((link.u64(24), link.u32(32)), (0x1234, 99));
        assert!(name_place(&raw(LinkType::PERF_EVENT, &[(16, EVENT)])).is_none());
        assert!(name_place(&raw(LinkType::XDP, &[(16, 1)])).is_none());
    }
}
