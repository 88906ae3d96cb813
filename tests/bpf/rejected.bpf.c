// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs that no verifier accepts, each for another reason.
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct task_struct___absent {
	int no_such_member;
} __attribute__((preserve_access_index));

SEC("raw_tp/sys_enter")
int null_pointer(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	return *value; /* without a check */
}

SEC("raw_tp/sys_enter")
int missing_member(void *ctx)
{
	struct task_struct___absent *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, no_such_member);
}
