// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs and maps that can be loaded by themselves, and one that no kernel accepts.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} spare SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} held SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} holder SEC(".maps") = {
	.values = { &held },
};

const volatile __u64 step = 1;

static __attribute__((noinline)) __u64 count(void *map)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(map, &key);

	if (!value)
		return 0;
	*value += step;
	return *value;
}

SEC("raw_tp/sys_enter")
int uses_first(void *ctx)
{
	return count(&first);
}

SEC("raw_tp/sys_enter")
int uses_second(void *ctx)
{
	return count(&second) + 1000;
}

SEC("raw_tp/sys_enter")
int uses_holder(void *ctx)
{
	__u32 key = 0;
	void *map = bpf_map_lookup_elem(&holder, &key);

	return map ? 1 : 0;
}

SEC("raw_tp/sys_enter")
int refused(void *ctx)
{
	__u32 key = 0;

	/* without a check */
	return *(__u64 *)bpf_map_lookup_elem(&spare, &key);
}
