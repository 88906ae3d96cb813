// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs whose sections say how they are attached, and not where.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 received, filtered, called, clocked;

SEC("xdp")
int on_receive(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&received, 1);
	return XDP_PASS;
}

SEC("tc")
int on_filter(struct __sk_buff *ctx)
{
	__sync_fetch_and_add(&filtered, 1);
	return 0;
}

SEC("uprobe")
int on_call(void *ctx)
{
	__sync_fetch_and_add(&called, 1);
	return 0;
}

SEC("perf_event")
int on_clock(void *ctx)
{
	__sync_fetch_and_add(&clocked, 1);
	return 0;
}
