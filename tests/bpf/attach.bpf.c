// SPDX-License-Identifier: MIT OR Apache-2.0
// One program for each way of attaching that every supported kernel has; each reports its kind.
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

enum kind {
	KIND_TRACEPOINT = 1,
	KIND_RAW_TRACEPOINT,
	KIND_TP_BTF,
	KIND_KPROBE,
	KIND_KRETPROBE,
	KIND_UPROBE,
	KIND_URETPROBE,
	KIND_PERF_EVENT,
	KIND_XDP,
	KIND_CGROUP_SKB,
};

struct event {
	enum kind kind;
	__u32 pid;
	__u64 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

/* Only this process is reported; packets and samples have none. */
__u32 target;

static __attribute__((always_inline)) int report(enum kind kind, __u32 pid, __u64 value)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->kind = kind;
	event->pid = pid;
	event->value = value;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

static __attribute__((always_inline)) int report_task(enum kind kind, __u64 value)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	return pid == target ? report(kind, pid, value) : 0;
}

SEC("tp/syscalls/sys_enter_getpgid")
int on_tracepoint(void *ctx)
{
	return report_task(KIND_TRACEPOINT, 0);
}

SEC("raw_tp/sys_enter")
int on_raw_tracepoint(struct bpf_raw_tracepoint_args *ctx)
{
	return report_task(KIND_RAW_TRACEPOINT, ctx->args[1]);
}

SEC("tp_btf/sys_enter")
int on_tp_btf(__u64 *ctx)
{
	return report_task(KIND_TP_BTF, ctx[1]);
}

SEC("kprobe/vfs_open")
int on_kprobe(void *ctx)
{
	return report_task(KIND_KPROBE, 0);
}

SEC("kretprobe/vfs_open")
int on_kretprobe(void *ctx)
{
	return report_task(KIND_KRETPROBE, 0);
}

SEC("uprobe//proc/self/exe:purebpf_probed")
int on_uprobe(void *ctx)
{
	return report_task(KIND_UPROBE, 0);
}

SEC("uretprobe//proc/self/exe:purebpf_probed")
int on_uretprobe(void *ctx)
{
	return report_task(KIND_URETPROBE, 0);
}

SEC("perf_event")
int on_perf_event(struct bpf_perf_event_data *ctx)
{
	return report(KIND_PERF_EVENT, 0, 0);
}

SEC("xdp")
int on_xdp(struct xdp_md *ctx)
{
	report(KIND_XDP, 0, ctx->data_end - ctx->data);
	return XDP_PASS;
}

SEC("cgroup_skb/egress")
int on_cgroup_skb(struct __sk_buff *ctx)
{
	report(KIND_CGROUP_SKB, 0, ctx->len);
	return 1;
}
