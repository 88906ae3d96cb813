//! `struct bpf_link_info`: what all links have, and what follows by the type of the link.

use crate::shared::shared;

shared! {
    /// What the block of every link begins with.
    Head = "bpf_link_info", 16 {
        0 r#type: u32,
        4 id: u32,
        8 prog_id: u32,
        12 pad: u32,
    }

    /// The block of a link whose type is not known yet.
    Block = "bpf_link_info", 64 {
        0 head: Head,
        16 body: [u64; 6],
    }

    /// A raw tracepoint.
    RawTracepoint = "bpf_link_info/raw_tracepoint", 64 {
        0 head: Head,
        16 tp_name: u64,
        24 tp_name_len: u32,
        28 pad: u32,
        32 cookie: u64,
        40 pad_end: [u64; 3],
    }

    /// A function by BTF id.
    Tracing = "bpf_link_info/tracing", 64 {
        0 head: Head,
        16 attach_type: u32,
        20 target_obj_id: u32,
        24 target_btf_id: u32,
        28 pad: u32,
        32 cookie: u64,
        40 pad_end: [u64; 3],
    }

    /// A cgroup.
    Cgroup = "bpf_link_info/cgroup", 64 {
        0 head: Head,
        16 cgroup_id: u64,
        24 attach_type: u32,
        28 pad: [u32; 9],
    }

    /// An iterator.
    Iter = "bpf_link_info/iter", 64 {
        0 head: Head,
        16 target_name: u64,
        24 target_name_len: u32,
        28 pad: [u32; 9],
    }

    /// An iterator over a map.
    IterMap = "bpf_link_info/iter/map", 64 {
        0 head: Head,
        16 pad: [u32; 3],
        28 map_id: u32,
        32 pad_end: [u64; 4],
    }

    /// An iterator over cgroups.
    IterCgroup = "bpf_link_info/iter/cgroup", 64 {
        0 head: Head,
        16 pad: [u64; 2],
        32 cgroup_id: u64,
        40 order: u32,
        44 pad_end: [u32; 5],
    }

    /// An iterator over tasks.
    IterTask = "bpf_link_info/iter/task", 64 {
        0 head: Head,
        16 pad: [u64; 2],
        32 tid: u32,
        36 pid: u32,
        40 pad_end: [u64; 3],
    }

    /// A network name space.
    Netns = "bpf_link_info/netns", 64 {
        0 head: Head,
        16 netns_ino: u32,
        20 attach_type: u32,
        24 pad: [u64; 5],
    }

    /// A network device.
    Xdp = "bpf_link_info/xdp", 64 {
        0 head: Head,
        16 ifindex: u32,
        20 pad: [u32; 11],
    }

    /// A struct_ops map.
    StructOps = "bpf_link_info/struct_ops", 64 {
        0 head: Head,
        16 map_id: u32,
        20 pad: [u32; 11],
    }

    /// A netfilter hook.
    Netfilter = "bpf_link_info/netfilter", 64 {
        0 head: Head,
        16 pf: u32,
        20 hooknum: u32,
        24 priority: i32,
        28 flags: u32,
        32 pad: [u64; 4],
    }

    /// Many functions of the kernel.
    KprobeMulti = "bpf_link_info/kprobe_multi", 64 {
        0 head: Head,
        16 addrs: u64,
        24 count: u32,
        28 flags: u32,
        32 missed: u64,
        40 cookies: u64,
        48 pad: [u64; 2],
    }

    /// Many places of a binary.
    UprobeMulti = "bpf_link_info/uprobe_multi", 64 {
        0 head: Head,
        16 path: u64,
        24 offsets: u64,
        32 ref_ctr_offsets: u64,
        40 cookies: u64,
        48 path_size: u32,
        52 count: u32,
        56 flags: u32,
        60 pid: u32,
    }

    /// A perf event, whatever it is of.
    PerfEvent = "bpf_link_info/perf_event", 64 {
        0 head: Head,
        16 r#type: u32,
        20 pad: [u32; 11],
    }

    /// A place of a binary.
    Uprobe = "bpf_link_info/perf_event/uprobe", 64 {
        0 head: Head,
        16 pad: [u32; 2],
        24 file_name: u64,
        32 name_len: u32,
        36 offset: u32,
        40 cookie: u64,
        48 ref_ctr_offset: u64,
        56 pad_end: u64,
    }

    /// A function of the kernel.
    Kprobe = "bpf_link_info/perf_event/kprobe", 64 {
        0 head: Head,
        16 pad: [u32; 2],
        24 func_name: u64,
        32 name_len: u32,
        36 offset: u32,
        40 addr: u64,
        48 missed: u64,
        56 cookie: u64,
    }

    /// A tracepoint.
    Tracepoint = "bpf_link_info/perf_event/tracepoint", 64 {
        0 head: Head,
        16 pad: [u32; 2],
        24 tp_name: u64,
        32 name_len: u32,
        36 pad_mid: u32,
        40 cookie: u64,
        48 pad_end: [u64; 2],
    }

    /// Another perf event.
    Event = "bpf_link_info/perf_event/event", 64 {
        0 head: Head,
        16 pad: [u32; 2],
        24 config: u64,
        32 r#type: u32,
        36 pad_mid: u32,
        40 cookie: u64,
        48 pad_end: [u64; 2],
    }

    /// tcx or netkit on a network device.
    Device = "bpf_link_info/tcx" | "bpf_link_info/netkit", 64 {
        0 head: Head,
        16 ifindex: u32,
        20 attach_type: u32,
        24 pad: [u64; 5],
    }

    /// A sockmap.
    Sockmap = "bpf_link_info/sockmap", 64 {
        0 head: Head,
        16 map_id: u32,
        20 attach_type: u32,
        24 pad: [u64; 5],
    }
}

impl Block {
    /// The block as that of a link of a certain type; all of them are as long.
    pub(crate) fn of<T: bytemuck::Pod>(&self) -> T {
        bytemuck::cast(*self)
    }

    /// Puts a number at this byte offset; nothing outside.
    pub(crate) fn set(&mut self, offset: usize, number: &[u8]) {
        let bytes = bytemuck::bytes_of_mut(self).get_mut(offset..);
        if let Some(bytes) = bytes.and_then(|bytes| bytes.get_mut(..number.len())) {
            bytes.copy_from_slice(number);
        }
    }
}
