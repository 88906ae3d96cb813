// SPDX-License-Identifier: MIT OR Apache-2.0
// Fills the perf buffer of a CPU, some records at a time.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

const volatile __u32 size = 64;
__u8 record[2048];
__u64 sent;
__u64 refused;

SEC("raw_tp/sys_enter")
int fill(void *ctx)
{
	__u32 bytes = size;

	if (bytes > sizeof(record))
		bytes = sizeof(record);
	for (int i = 0; i < 1024; i++) {
		if (bpf_perf_event_output(ctx, &perf, 0xffffffff, record, bytes)) {
			refused++;
			return 0;
		}
		sent++;
	}
	return 0;
}
