// SPDX-License-Identifier: MIT OR Apache-2.0
// Fills a ring buffer.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} ring SEC(".maps");

const volatile __u32 size = 64;
__u64 record[256];
__u64 sent;

static long send(__u32 index, void *ctx)
{
	__u32 bytes = size;

	if (bytes > sizeof(record))
		bytes = sizeof(record);
	/* 1: without a wake-up */
	if (bpf_ringbuf_output(&ring, record, bytes, 1))
		return 1;
	sent++;
	return 0;
}

SEC("syscall")
int fill(void *ctx)
{
	return bpf_loop(1 << 22, send, 0, 0);
}
