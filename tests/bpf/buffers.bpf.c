// SPDX-License-Identifier: MIT OR Apache-2.0
// Records to user space by perf and ring buffer, and from user space by user ring buffer.
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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

const volatile __u32 record_size = 16;
const volatile __u64 element = 0xffffffff; /* that of this CPU */
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
	if (bpf_perf_event_output(ctx, &perf, element, record, size))
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

volatile __u32 is_held;
volatile __u32 let_go;

static long wait(__u32 index, void *ctx)
{
	for (int i = 0; i < 512; i++)
		if (let_go)
			return 1;
	return 0;
}

/* Writes a record for as long as user space wants it, or some seconds. */
SEC("raw_tp/sys_enter")
int holds(__u64 *ctx)
{
	__u64 *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return 0;
	is_held = 1;
	bpf_loop(1 << 23, wait, 0, 0);
	*record = ctx[0];
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("raw_tp/sys_enter")
int adds(__u64 *ctx)
{
	__u64 record = ctx[0];

	bpf_ringbuf_output(&ring, &record, sizeof(record), 0);
	return 0;
}
