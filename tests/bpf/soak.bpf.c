// SPDX-License-Identifier: MIT OR Apache-2.0
// Sends to two ring buffers and a perf buffer from everywhere at once, and counts what became of it.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define BUFFERS 3
#define EACH 8
#define ENOSPC 28

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
};

struct ring ring_a SEC(".maps");
struct ring ring_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

struct event {
	__u64 thread;
	__u64 number;
	__u64 check;
};

__u64 sent[BUFFERS];
__u64 lost[BUFFERS]; /* there was no room */
__u64 refused[BUFFERS]; /* anything else */
__u64 discarded;

static void count(__u32 buffer, long error)
{
	if (buffer >= BUFFERS)
		return;
	if (!error)
		__sync_fetch_and_add(&sent[buffer], 1);
	else if (error == -ENOSPC)
		__sync_fetch_and_add(&lost[buffer], 1);
	else
		__sync_fetch_and_add(&refused[buffer], 1);
}

SEC("raw_tp/sys_enter")
int produces(__u64 *ctx)
{
	for (int i = 0; i < EACH; i++) {
		struct event event = { ctx[0], ctx[1] + i };
		struct event *reserved;

		event.check = event.thread ^ ~event.number;
		reserved = bpf_ringbuf_reserve(&ring_a, sizeof(*reserved), 0);
		if (!reserved) {
			count(0, -ENOSPC);
		} else if (event.number % 16 == 7) {
			bpf_ringbuf_discard(reserved, 0);
			__sync_fetch_and_add(&discarded, 1);
		} else {
			*reserved = event;
			bpf_ringbuf_submit(reserved, 0);
			count(0, 0);
		}
		count(1, bpf_ringbuf_output(&ring_b, &event, sizeof(event), 0) ? -ENOSPC : 0);
		count(2, bpf_perf_event_output(ctx, &perf, 0xffffffff, &event, sizeof(event)));
	}
	return 0;
}
