// SPDX-License-Identifier: MIT OR Apache-2.0
// Static and global subprograms, calls among them, and a callback.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

__u64 sum;

static __attribute__((noinline)) __u64 twice(__u64 value)
{
	return value * 2;
}

__attribute__((noinline)) int thrice(int value)
{
	return value + twice(value);
}

static long add(void *map, __u32 *key, __u64 *value, void *ctx)
{
	sum += twice(*value);
	return 0;
}

SEC("raw_tp/sys_enter")
int direct(void *ctx)
{
	return thrice(5) + twice(7);
}

SEC("raw_tp/sys_enter")
int with_callback(void *ctx)
{
	sum = 0;
	bpf_for_each_map_elem(&numbers, add, 0, 0);
	return thrice(1);
}
