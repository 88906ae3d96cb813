// SPDX-License-Identifier: MIT OR Apache-2.0
// A map of every type, with the sizes and flags that its type asks for, and maps whose values hold
// what the kernel looks for in their BTF.
#include "types.h"
#include <bpf/bpf_helpers.h>

/* A number of 64 bits, by the name of its only value. */
#define ULONG(name, is, value) enum { is = value } name

#define MAP(name, kind, entries, map_flags_)                                                       \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, entries);                                                      \
		__uint(map_flags, map_flags_);                                                     \
		__type(key, __u32);                                                                \
		__type(value, __u32);                                                              \
	} name SEC(".maps")

#define STORAGE(name, kind)                                                                        \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__type(key, int);                                                                  \
		__type(value, struct counts);                                                      \
	} name SEC(".maps")

#define SIZED(name, kind, key, value, entries)                                                     \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, entries);                                                      \
		__uint(key_size, key);                                                             \
		__uint(value_size, value);                                                         \
	} name SEC(".maps")

struct counts {
	__u64 hits;
	__u64 bytes;
};

struct prefix {
	__u32 length;
	__u8 address[4];
};

struct bpf_cgroup_storage_key {
	__u64 cgroup_inode_id;
	__u32 attach_type;
};

struct bpf_spin_lock {
	__u32 val;
};

struct bpf_timer {
	__u64 __opaque[2];
};

struct locked {
	struct bpf_spin_lock lock;
	__u32 value;
};

struct timed {
	struct bpf_timer timer;
	__u64 value;
};

struct with_task {
	struct task_struct __attribute__((btf_type_tag("kptr_untrusted"))) * task;
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
};

struct tcp_congestion_ops {
	char name[16];
	__u32 flags;
};

MAP(hash, HASH, 4, BPF_F_NO_PREALLOC);
MAP(array, ARRAY, 4, BPF_F_MMAPABLE);
SIZED(program_array, PROG_ARRAY, 4, 4, 2);
SIZED(perf_event_array, PERF_EVENT_ARRAY, 4, 4, 0);
MAP(per_cpu_hash, PERCPU_HASH, 4, 0);
MAP(per_cpu_array, PERCPU_ARRAY, 4, 0);
SIZED(stack_trace, STACK_TRACE, 4, 8 * 16, 8);
SIZED(cgroup_array, CGROUP_ARRAY, 4, 4, 1);
MAP(lru_hash, LRU_HASH, 16, BPF_F_NO_COMMON_LRU);
MAP(lru_per_cpu_hash, LRU_PERCPU_HASH, 16, 0);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, struct counts);
} lpm_trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} array_of_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} hash_of_maps SEC(".maps");

SIZED(devmap, DEVMAP, 4, 8, 4);
SIZED(sockmap, SOCKMAP, 4, 8, 4);
SIZED(cpumap, CPUMAP, 4, 8, 1);
SIZED(xskmap, XSKMAP, 4, 4, 4);
SIZED(sockhash, SOCKHASH, 8, 4, 4);

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct counts);
} cgroup_storage SEC(".maps");

SIZED(reuseport_sockarray, REUSEPORT_SOCKARRAY, 4, 8, 4);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct counts);
} per_cpu_cgroup_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, struct counts);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 4);
	__type(value, struct counts);
} stack SEC(".maps");

STORAGE(sk_storage, SK_STORAGE);
SIZED(devmap_hash, DEVMAP_HASH, 4, 4, 4);

/* Left out unless it is asked for. */
SEC("?.struct_ops")
struct tcp_congestion_ops congestion = {
	.name = "purebpf_kinds",
};

/* Not a power of two of pages. */
SIZED(ring_buffer, RINGBUF, 0, 0, 5000);

/* Not what the kernel takes: libbpf hands it the size of the type. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct counts);
} typed_ring SEC(".maps");

STORAGE(inode_storage, INODE_STORAGE);
STORAGE(task_storage, TASK_STORAGE);

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	ULONG(map_extra, HASHES, 3);
	__type(value, __u32);
} bloom_filter SEC(".maps");

SIZED(user_ring_buffer, USER_RINGBUF, 0, 0, 5000);
STORAGE(cgroup_storage_of_now, CGRP_STORAGE);

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	ULONG(map_extra, ADDRESS, 1ull << 44);
} arena SEC(".maps");

SIZED(insn_array, INSN_ARRAY, 4, 16, 2);
MAP(rhash, RHASH, 4, BPF_F_NO_PREALLOC);

/* More of what a definition can say. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_NUMA_NODE | BPF_F_RDONLY_PROG);
	__uint(numa_node, 0);
	__type(key, struct prefix);
	__type(value, struct counts);
} on_node SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 1);
		__uint(map_flags, BPF_F_INNER_MAP);
		__type(key, __u32);
		__type(value, struct counts);
	});
} array_of_any_length SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_RINGBUF);
		__uint(max_entries, 5000);
	});
} hash_of_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct locked);
} locked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timed);
} timed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct with_task);
} with_task SEC(".maps");

/* The kernel takes no such key, no such value, no such flags. */
SIZED(array_of_long_keys, ARRAY, 8, 8, 1);
SIZED(hash_without_value, HASH, 4, 0, 1);
SIZED(hash_without_entries, HASH, 4, 4, 0);
MAP(stack_with_key, STACK, 1, 0);
MAP(array_without_memory, ARRAY, 1, BPF_F_NO_PREALLOC);
