//! What the kernel tells of a link: common to all, and by type.

use std::mem::offset_of;
use std::os::fd::BorrowedFd;

use purebpf_insn::{AttachType, LinkType};

use crate::call::{address_mut, stored_name};
use crate::info::{Answers, check_kind, room};
use crate::link_block::{self, Block};
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
    /// User function or its return (6.6), and its counter (6.16), by their offsets in the file.
    Uprobe {
        path: String,
        offset: u32,
        retprobe: bool,
        cookie: u64,
        ref_ctr_offset: u64,
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

/// Byte offsets of a name's address and length.
#[derive(Clone, Copy)]
struct NamePlace {
    address: usize,
    len: usize,
}

/// Byte offsets of the addresses of several arrays, and how many words each has.
struct ArrayPlaces {
    addresses: &'static [usize],
    count: usize,
    words: u32,
}

/// Where a link of this sort has arrays to fill in.
fn array_places(block: &Block) -> ArrayPlaces {
    use link_block::{KprobeMulti, UprobeMulti};
    match LinkType(block.head.r#type) {
        LinkType::KPROBE_MULTI => ArrayPlaces {
            addresses: &[
                offset_of!(KprobeMulti, addrs),
                offset_of!(KprobeMulti, cookies),
            ],
            count: offset_of!(KprobeMulti, count),
            words: block.of::<KprobeMulti>().count,
        },
        LinkType::UPROBE_MULTI => ArrayPlaces {
            addresses: &[
                offset_of!(UprobeMulti, offsets),
                offset_of!(UprobeMulti, ref_ctr_offsets),
                offset_of!(UprobeMulti, cookies),
            ],
            count: offset_of!(UprobeMulti, count),
            words: block.of::<UprobeMulti>().count,
        },
        _ => ArrayPlaces {
            addresses: &[],
            count: 0,
            words: 0,
        },
    }
}

macro_rules! name_place {
    ($block:ident, $address:ident, $len:ident) => {
        NamePlace {
            address: offset_of!(link_block::$block, $address),
            len: offset_of!(link_block::$block, $len),
        }
    };
}

/// Where a link of this sort has a name to fill in, if it has one.
fn name_place(block: &Block) -> Option<NamePlace> {
    let event = block.of::<link_block::PerfEvent>().r#type;
    Some(match (LinkType(block.head.r#type), event) {
        (LinkType::RAW_TRACEPOINT, _) => name_place!(RawTracepoint, tp_name, tp_name_len),
        (LinkType::ITER, _) => name_place!(Iter, target_name, target_name_len),
        (LinkType::UPROBE_MULTI, _) => name_place!(UprobeMulti, path, path_size),
        (LinkType::PERF_EVENT, UPROBE | URETPROBE) => name_place!(Uprobe, file_name, name_len),
        (LinkType::PERF_EVENT, KPROBE | KRETPROBE) => name_place!(Kprobe, func_name, name_len),
        (LinkType::PERF_EVENT, TRACEPOINT) => name_place!(Tracepoint, tp_name, name_len),
        _ => return None,
    })
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
pub fn link_info(mut fd: BorrowedFd<'_>) -> Result<LinkInfo, CallError> {
    check_kind(fd, ObjectKind::Link)?;
    link(&mut fd)
}

pub(crate) fn link(answers: &mut impl Answers) -> Result<LinkInfo, CallError> {
    let mut block = Block::default();
    // SAFETY: all zero.
    unsafe { answers.fill(&mut block) }?;
    let parts = parts(answers, &mut block);
    Ok(LinkInfo {
        link_type: LinkType(block.head.r#type),
        id: block.head.id,
        program_id: block.head.prog_id,
        details: details(&block, parts),
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
fn parts(answers: &mut impl Answers, block: &mut Block) -> Parts {
    let (place, places) = (name_place(block), array_places(block));
    let all = match places.words {
        0 => 0,
        _ => places.addresses.len(),
    };
    if place.is_none() && all == 0 {
        return Parts::default();
    }
    for arrays in [all, all.saturating_sub(1), 0] {
        // The length of the longest path, which no other name comes near.
        let mut name = vec![0_u8; 4096];
        let lists = (0..arrays).map(|_| room::<u64>(places.words));
        let Ok(mut lists) = lists.collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        let mut asked = Block::default();
        if let Some(place) = place {
            asked.set(place.address, &address_mut(&mut name).to_ne_bytes());
            asked.set(place.len, &(name.len() as u32).to_ne_bytes());
        }
        for (list, offset) in lists.iter_mut().zip(places.addresses) {
            asked.set(*offset, &address_mut(list).to_ne_bytes());
            asked.set(places.count, &places.words.to_ne_bytes());
        }
        // SAFETY: a link of this type; the name has the length said, each list has room for so many words.
        if unsafe { answers.fill(&mut asked) }.is_ok() {
            *block = asked;
            return Parts {
                name: place.map_or_else(String::new, |_| stored_name(&name)),
                arrays: lists,
            };
        }
    }
    Parts::default()
}

fn details(block: &Block, mut parts: Parts) -> LinkDetails {
    let name = std::mem::take(&mut parts.name);
    match LinkType(block.head.r#type) {
        LinkType::RAW_TRACEPOINT => LinkDetails::RawTracepoint {
            name,
            cookie: block.of::<link_block::RawTracepoint>().cookie,
        },
        LinkType::TRACING => {
            let link: link_block::Tracing = block.of();
            LinkDetails::Tracing {
                attach_type: AttachType(link.attach_type),
                target_obj_id: link.target_obj_id,
                target_btf_id: link.target_btf_id,
                cookie: link.cookie,
            }
        }
        LinkType::CGROUP => {
            let link: link_block::Cgroup = block.of();
            LinkDetails::Cgroup {
                cgroup_id: link.cgroup_id,
                attach_type: AttachType(link.attach_type),
            }
        }
        LinkType::ITER => LinkDetails::Iter {
            of: iterator(block, &name),
            target_name: name,
        },
        LinkType::NETNS => {
            let link: link_block::Netns = block.of();
            LinkDetails::Netns {
                netns_ino: link.netns_ino,
                attach_type: AttachType(link.attach_type),
            }
        }
        LinkType::XDP => LinkDetails::Xdp {
            ifindex: block.of::<link_block::Xdp>().ifindex,
        },
        LinkType::STRUCT_OPS => LinkDetails::StructOps {
            map_id: block.of::<link_block::StructOps>().map_id,
        },
        LinkType::NETFILTER => {
            let link: link_block::Netfilter = block.of();
            LinkDetails::Netfilter {
                family: link.pf,
                hook: link.hooknum,
                priority: link.priority,
                flags: link.flags,
            }
        }
        LinkType::KPROBE_MULTI => {
            let link: link_block::KprobeMulti = block.of();
            LinkDetails::KprobeMulti {
                count: link.count,
                flags: link.flags,
                missed: link.missed,
                addresses: parts.array(0),
                cookies: parts.array(1),
            }
        }
        LinkType::UPROBE_MULTI => {
            let link: link_block::UprobeMulti = block.of();
            LinkDetails::UprobeMulti {
                path: name,
                count: link.count,
                flags: link.flags,
                pid: link.pid,
                offsets: parts.array(0),
                ref_ctr_offsets: parts.array(1),
                cookies: parts.array(2),
            }
        }
        LinkType::PERF_EVENT => perf_event(block, name),
        LinkType::TCX => {
            let link: link_block::Device = block.of();
            LinkDetails::Tcx {
                ifindex: link.ifindex,
                attach_type: AttachType(link.attach_type),
            }
        }
        LinkType::NETKIT => {
            let link: link_block::Device = block.of();
            LinkDetails::Netkit {
                ifindex: link.ifindex,
                attach_type: AttachType(link.attach_type),
            }
        }
        LinkType::SOCKMAP => {
            let link: link_block::Sockmap = block.of();
            LinkDetails::Sockmap {
                map_id: link.map_id,
                attach_type: AttachType(link.attach_type),
            }
        }
        _ => LinkDetails::Other,
    }
}

/// The kernel has a place for each sort of target, and says by the name which of them counts.
fn iterator(block: &Block, name: &str) -> IterDetails {
    match name {
        "bpf_map_elem" | "bpf_sk_storage_map" => IterDetails::Map {
            map_id: block.of::<link_block::IterMap>().map_id,
        },
        "cgroup" => {
            let link: link_block::IterCgroup = block.of();
            IterDetails::Cgroup {
                cgroup_id: link.cgroup_id,
                order: link.order,
            }
        }
        "task" | "task_file" | "task_vma" => {
            let link: link_block::IterTask = block.of();
            IterDetails::Task {
                tid: link.tid,
                pid: link.pid,
            }
        }
        _ => IterDetails::All,
    }
}

fn perf_event(block: &Block, name: String) -> LinkDetails {
    match block.of::<link_block::PerfEvent>().r#type {
        kind @ (UPROBE | URETPROBE) => {
            let link: link_block::Uprobe = block.of();
            LinkDetails::Uprobe {
                path: name,
                offset: link.offset,
                retprobe: kind == URETPROBE,
                cookie: link.cookie,
                ref_ctr_offset: link.ref_ctr_offset,
            }
        }
        kind @ (KPROBE | KRETPROBE) => {
            let link: link_block::Kprobe = block.of();
            LinkDetails::Kprobe {
                function: name,
                offset: link.offset,
                address: link.addr,
                missed: link.missed,
                retprobe: kind == KRETPROBE,
                cookie: link.cookie,
            }
        }
        TRACEPOINT => LinkDetails::Tracepoint {
            name,
            cookie: block.of::<link_block::Tracepoint>().cookie,
        },
        EVENT => {
            let link: link_block::Event = block.of();
            LinkDetails::PerfEvent {
                config: link.config,
                event_type: link.r#type,
                cookie: link.cookie,
            }
        }
        _ => LinkDetails::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(link_type: LinkType, words: &[(usize, u32)]) -> Block {
        let mut block = Block::default();
        block.head.r#type = link_type.0;
        for (offset, value) in words {
            block.set(*offset, &value.to_ne_bytes());
        }
        block
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
        let mut link = raw(LinkType::PERF_EVENT, &[(16, URETPROBE), (36, 0x40)]);
        link.set(48, &0x3010_u64.to_ne_bytes());
        assert_eq!(
            details(&link, named("/bin/sh")),
            LinkDetails::Uprobe {
                path: "/bin/sh".into(),
                offset: 0x40,
                retprobe: true,
                cookie: 0,
                ref_ctr_offset: 0x3010,
            }
        );
    }

    #[test]
    fn a_name_goes_where_the_type_has_it() {
        let mut link = raw(LinkType::PERF_EVENT, &[(16, TRACEPOINT)]);
        let place = name_place(&link).unwrap();
        link.set(place.address, &0x1234_u64.to_ne_bytes());
        link.set(place.len, &99_u32.to_ne_bytes());
        let link: link_block::Tracepoint = link.of();
        assert_eq!((link.tp_name, link.name_len), (0x1234, 99));
        assert!(name_place(&raw(LinkType::PERF_EVENT, &[(16, EVENT)])).is_none());
        assert!(name_place(&raw(LinkType::XDP, &[(16, 1)])).is_none());
    }
}
