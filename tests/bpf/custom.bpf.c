// SPDX-License-Identifier: MIT OR Apache-2.0
// Sections that only their user knows, and variables that can grow.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 cell_count = 1;
__u64 cells[1] SEC(".data.cells");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} own SEC(".maps");

SEC("probes/enter")
int counts(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&own, &key);

	if (value)
		*value += 1;
	return value ? *value : 0;
}

SEC("whatever")
int fills(void *ctx)
{
	for (__u32 i = 0; i < cell_count && i < 1024; i++)
		*(volatile __u64 *)(cells + i) = i + 1;
	return cell_count;
}
