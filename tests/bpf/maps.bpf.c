// SPDX-License-Identifier: MIT OR Apache-2.0
// Maps of many types and forms of definition, with values to begin with.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct key {
	__u32 prefix_len;
	__u32 address;
};

struct value {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, struct key);
	__type(value, struct value);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 12);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} lru SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, __u32);
} trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} mapped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
} ring SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { &first, 0, &second },
};

int tail(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int(void *));
} jumps SEC(".maps") = {
	.values = { [1] = (void *)&tail },
};

SEC("raw_tp/sys_enter")
int tail(void *ctx)
{
	__u32 key = 0;
	__u32 *value = bpf_map_lookup_elem(&lru, &key);

	return value ? *value : 0;
}

SEC("raw_tp/sys_enter")
int head(void *ctx)
{
	struct key key = { .prefix_len = 32, .address = 1 };
	struct value *value = bpf_map_lookup_elem(&hash, &key);
	__u32 zero = 0;

	if (value)
		value->packets++;
	bpf_map_lookup_elem(&per_cpu, &zero);
	bpf_map_lookup_elem(&mapped, &zero);
	bpf_map_lookup_elem(&outer, &zero);
	bpf_map_push_elem(&queue, &zero, 0);
	bpf_map_lookup_elem(&trie, &key);
	bpf_ringbuf_output(&ring, &zero, sizeof(zero), 0);
	bpf_perf_event_output(ctx, &perf, 0, &zero, sizeof(zero));
	bpf_tail_call(ctx, &jumps, 1);
	return 0;
}
