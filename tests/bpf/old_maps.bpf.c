// SPDX-License-Identifier: MIT OR Apache-2.0
// Maps as they were defined before BTF.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct old_map {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;
	__u32 id;
	__u32 pinning;
};

struct old_map SEC("maps") counts = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = 4,
	.value_size = 8,
	.max_entries = 16,
	.map_flags = BPF_F_NO_PREALLOC,
};

struct old_map SEC("maps/shared") shared = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = 4,
	.value_size = 4,
	.max_entries = 2,
	.pinning = 1,
};

SEC("raw_tp/sys_enter")
int uses_both(void *ctx)
{
	__u32 key = 1;
	__u32 *value = bpf_map_lookup_elem(&shared, &key);
	__u64 count = 7;

	bpf_map_update_elem(&counts, &key, &count, 0);
	return value ? *value + 1 : 0;
}
