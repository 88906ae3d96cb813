//! `union bpf_attr`, one struct for each command, laid out as `include/uapi/linux/bpf.h` says.
//!
//! Padding is spelled out, so every struct is plain bytes and has the same layout on every machine.
//! The kernel takes an attribute block longer than its own as long as what it does not know is zero.

use crate::shared::shared;

shared! {
    /// `BPF_MAP_CREATE`; ends at byte 92.
    MapCreate = "bpf_attr", 96 {
        0 map_type: u32,
        4 key_size: u32,
        8 value_size: u32,
        12 max_entries: u32,
        16 map_flags: u32,
        20 inner_map_fd: i32,
        24 numa_node: u32,
        28 map_name: [u8; 16],
        44 map_ifindex: u32,
        48 btf_fd: i32,
        52 btf_key_type_id: u32,
        56 btf_value_type_id: u32,
        60 btf_vmlinux_value_type_id: u32,
        64 map_extra: u64,
        72 value_type_btf_obj_fd: i32,
        76 map_token_fd: i32,
        80 excl_prog_hash: u64,
        88 excl_prog_hash_size: u32,
        92 pad: u32,
    }

    /// What every command takes beside its own block.
    Common = "bpf_common_attr", 24 {
        0 log_buf: u64,
        8 log_size: u32,
        12 log_level: u32,
        16 log_true_size: u32,
        20 pad: u32,
    }

    /// `BPF_MAP_*_ELEM`, `BPF_MAP_GET_NEXT_KEY`.
    MapElement = "bpf_attr", 32 {
        0 map_fd: i32,
        4 pad: u32,
        8 key: u64,
        16 value: u64,
        24 flags: u64,
    }

    /// `BPF_MAP_*_BATCH`.
    MapBatch = "bpf_attr/batch", 56 {
        0 in_batch: u64,
        8 out_batch: u64,
        16 keys: u64,
        24 values: u64,
        32 count: u32,
        36 map_fd: i32,
        40 elem_flags: u64,
        48 flags: u64,
    }

    /// `BPF_PROG_LOAD`.
    ProgLoad = "bpf_attr", 168 {
        0 prog_type: u32,
        4 insn_cnt: u32,
        8 insns: u64,
        16 license: u64,
        24 log_level: u32,
        28 log_size: u32,
        32 log_buf: u64,
        40 kern_version: u32,
        44 prog_flags: u32,
        48 prog_name: [u8; 16],
        64 prog_ifindex: u32,
        68 expected_attach_type: u32,
        72 prog_btf_fd: i32,
        76 func_info_rec_size: u32,
        80 func_info: u64,
        88 func_info_cnt: u32,
        92 line_info_rec_size: u32,
        96 line_info: u64,
        104 line_info_cnt: u32,
        108 attach_btf_id: u32,
        112 attach_prog_fd: i32,
        116 core_relo_cnt: u32,
        120 fd_array: u64,
        128 core_relos: u64,
        136 core_relo_rec_size: u32,
        140 log_true_size: u32,
        144 prog_token_fd: i32,
        148 fd_array_cnt: u32,
        152 signature: u64,
        160 signature_size: u32,
        164 keyring_id: i32,
    }

    /// `BPF_OBJ_PIN`, `BPF_OBJ_GET`.
    ObjPath = "bpf_attr", 24 {
        0 pathname: u64,
        8 bpf_fd: i32,
        12 file_flags: u32,
        16 path_fd: i32,
        20 pad: u32,
    }

    /// `BPF_PROG_ATTACH`, `BPF_PROG_DETACH`.
    ProgAttach = "bpf_attr", 32 {
        0 target_fd: u32,
        4 attach_bpf_fd: i32,
        8 attach_type: u32,
        12 attach_flags: u32,
        16 replace_bpf_fd: i32,
        20 relative_fd: u32,
        24 expected_revision: u64,
    }

    /// `BPF_PROG_TEST_RUN`.
    TestRun = "bpf_attr/test", 80 {
        0 prog_fd: i32,
        4 retval: u32,
        8 data_size_in: u32,
        12 data_size_out: u32,
        16 data_in: u64,
        24 data_out: u64,
        32 repeat: u32,
        36 duration: u32,
        40 ctx_size_in: u32,
        44 ctx_size_out: u32,
        48 ctx_in: u64,
        56 ctx_out: u64,
        64 flags: u32,
        68 cpu: u32,
        72 batch_size: u32,
        76 pad: u32,
    }

    /// `BPF_*_GET_NEXT_ID`, `BPF_*_GET_FD_BY_ID`.
    ById = "bpf_attr", 16 {
        0 start_id: u32,
        4 next_id: u32,
        8 open_flags: u32,
        12 fd_by_id_token_fd: i32,
    }

    /// `BPF_OBJ_GET_INFO_BY_FD`.
    ObjInfo = "bpf_attr/info", 16 {
        0 bpf_fd: i32,
        4 info_len: u32,
        8 info: u64,
    }

    /// `BPF_PROG_QUERY`.
    ProgQuery = "bpf_attr/query", 64 {
        0 target_fd: u32,
        4 attach_type: u32,
        8 query_flags: u32,
        12 attach_flags: u32,
        16 prog_ids: u64,
        24 prog_cnt: u32,
        28 pad: u32,
        32 prog_attach_flags: u64,
        40 link_ids: u64,
        48 link_attach_flags: u64,
        56 revision: u64,
    }

    /// `BPF_RAW_TRACEPOINT_OPEN`.
    RawTracepointOpen = "bpf_attr/raw_tracepoint", 24 {
        0 name: u64,
        8 prog_fd: i32,
        12 pad: u32,
        16 cookie: u64,
    }

    /// `BPF_TASK_FD_QUERY`.
    TaskFdQuery = "bpf_attr/task_fd_query", 48 {
        0 pid: u32,
        4 fd: u32,
        8 flags: u32,
        12 buf_len: u32,
        16 buf: u64,
        24 prog_id: u32,
        28 fd_type: u32,
        32 probe_offset: u64,
        40 probe_addr: u64,
    }

    /// `BPF_BTF_LOAD`.
    BtfLoad = "bpf_attr", 40 {
        0 btf: u64,
        8 btf_log_buf: u64,
        16 btf_size: u32,
        20 btf_log_size: u32,
        24 btf_log_level: u32,
        28 btf_log_true_size: u32,
        32 btf_flags: u32,
        36 btf_token_fd: i32,
    }

    /// The fields that every `BPF_LINK_CREATE` begins with.
    LinkHead = "bpf_attr/link_create", 16 {
        0 prog_fd: i32,
        4 target_fd: u32,
        8 attach_type: u32,
        12 flags: u32,
    }

    /// `BPF_LINK_CREATE` of a perf event.
    LinkPerfEvent = "bpf_attr/link_create/perf_event", 24 {
        0 head: LinkHead,
        16 bpf_cookie: u64,
    }

    /// `BPF_LINK_CREATE` by BTF id of the target.
    LinkTracing = "bpf_attr/link_create/tracing", 32 {
        0 head: LinkHead,
        16 target_btf_id: u32,
        20 pad: u32,
        24 cookie: u64,
    }

    /// `BPF_LINK_CREATE` of an iterator.
    LinkIter = "bpf_attr/link_create", 32 {
        0 head: LinkHead,
        16 iter_info: u64,
        24 iter_info_len: u32,
        28 pad: u32,
    }

    /// What an iterator is to walk: the elements of a map.
    IterMap = "bpf_iter_link_info/map", 16 {
        0 map_fd: i32,
        4 pad: [u32; 3],
    }

    /// What an iterator is to walk: cgroups.
    IterCgroup = "bpf_iter_link_info/cgroup", 16 {
        0 order: u32,
        4 cgroup_fd: i32,
        8 cgroup_id: u64,
    }

    /// What an iterator is to walk: tasks.
    IterTask = "bpf_iter_link_info/task", 16 {
        0 tid: u32,
        4 pid: u32,
        8 pid_fd: u32,
        12 pad: u32,
    }

    /// `BPF_LINK_CREATE` of many kernel functions.
    LinkKprobeMulti = "bpf_attr/link_create/kprobe_multi", 48 {
        0 head: LinkHead,
        16 flags: u32,
        20 cnt: u32,
        24 syms: u64,
        32 addrs: u64,
        40 cookies: u64,
    }

    /// `BPF_LINK_CREATE` of many places in a user binary.
    LinkUprobeMulti = "bpf_attr/link_create/uprobe_multi", 64 {
        0 head: LinkHead,
        16 path: u64,
        24 offsets: u64,
        32 ref_ctr_offsets: u64,
        40 cookies: u64,
        48 cnt: u32,
        52 flags: u32,
        56 pid: u32,
        60 path_fd: i32,
    }

    /// `BPF_LINK_CREATE` of a netfilter hook.
    LinkNetfilter = "bpf_attr/link_create/netfilter", 32 {
        0 head: LinkHead,
        16 pf: u32,
        20 hooknum: u32,
        24 priority: i32,
        28 flags: u32,
    }

    /// `BPF_LINK_CREATE` with a place among others: tcx, netkit, cgroup.
    LinkRelative = "bpf_attr/link_create/tcx" | "bpf_attr/link_create/netkit" | "bpf_attr/link_create/cgroup", 32 {
        0 head: LinkHead,
        16 relative_fd: u32,
        20 pad: u32,
        24 expected_revision: u64,
    }

    /// `BPF_LINK_CREATE` of many functions by BTF id.
    LinkTracingMulti = "bpf_attr/link_create/tracing_multi", 40 {
        0 head: LinkHead,
        16 ids: u64,
        24 cookies: u64,
        32 cnt: u32,
        36 pad: u32,
    }

    /// `BPF_LINK_UPDATE`.
    LinkUpdate = "bpf_attr/link_update", 16 {
        0 link_fd: i32,
        4 new_prog_fd: i32,
        8 flags: u32,
        12 old_prog_fd: i32,
    }

    /// `BPF_MAP_FREEZE`.
    MapFreeze = "bpf_attr", 4 {
        0 map_fd: i32,
    }

    /// `BPF_LINK_DETACH`.
    LinkDetach = "bpf_attr/link_detach", 4 {
        0 link_fd: i32,
    }

    /// `BPF_ENABLE_STATS`.
    EnableStats = "bpf_attr/enable_stats", 4 {
        0 r#type: u32,
    }

    /// `BPF_ITER_CREATE`.
    IterCreate = "bpf_attr/iter_create", 8 {
        0 link_fd: i32,
        4 flags: u32,
    }

    /// `BPF_PROG_BIND_MAP`.
    ProgBindMap = "bpf_attr/prog_bind_map", 12 {
        0 prog_fd: i32,
        4 map_fd: i32,
        8 flags: u32,
    }

    /// `BPF_PROG_ASSOC_STRUCT_OPS`.
    ProgAssocStructOps = "bpf_attr/prog_assoc_struct_ops", 12 {
        0 map_fd: i32,
        4 prog_fd: i32,
        8 flags: u32,
    }

    /// `BPF_TOKEN_CREATE`.
    TokenCreate = "bpf_attr/token_create", 8 {
        0 flags: u32,
        4 bpffs_fd: i32,
    }

    /// `BPF_PROG_STREAM_READ_BY_FD`.
    ProgStreamRead = "bpf_attr/prog_stream_read", 24 {
        0 stream_buf: u64,
        8 stream_buf_len: u32,
        12 stream_id: u32,
        16 prog_fd: i32,
        20 pad: u32,
    }
}
