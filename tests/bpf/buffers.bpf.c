// SPDX-License-Identifier: MIT OR Apache-2.0
// Records to user space by perf buffer, and from user space by user ring buffer.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

struct {
	__uint(type, 31); /* BPF_MAP_TYPE_USER_RINGBUF, 6.1 */
	__uint(max_entries, 4096);
} orders SEC(".maps");

const volatile __u32 record_size = 16;
__u64 refused;
__u64 drained;
__u64 taken;

SEC("raw_tp/sys_enter")
int sends(__u64 *ctx)
{
	__u64 record[32] = { ctx[0], ctx[1] };
	__u32 size = record_size;

	if (size > sizeof(record))
		size = sizeof(record);
	if (bpf_perf_event_output(ctx, &perf, 0xffffffffULL /* on this CPU */, record, size))
		refused++;
	return 0;
}

static long take(struct bpf_dynptr *order, void *ctx)
{
	__u64 value = 0;

	if (bpf_dynptr_read(&value, sizeof(value), order, 0, 0))
		return 1;
	taken += value;
	return 0;
}

SEC("raw_tp/sys_enter")
int drains(void *ctx)
{
	drained += bpf_user_ringbuf_drain(&orders, take, 0, 0);
	return 0;
}
