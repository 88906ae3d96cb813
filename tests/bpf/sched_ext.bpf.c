// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler with one queue for all CPUs: first come, first served.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

enum { QUEUE = 1, ANY_NODE = -1 };
#define SLICE 5000000 /* nanoseconds */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct scx_exit_info {
	__s64 exit_code;
};

struct sched_ext_ops {
	void (*enqueue)(struct task_struct *task, __u64 flags);
	void (*dispatch)(__s32 cpu, struct task_struct *previous);
	__s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
	__u32 timeout_ms;
	char name[128];
};

#pragma clang attribute pop

extern __s32 scx_bpf_create_dsq(__u64 queue, __s32 node) __ksym;
extern bool scx_bpf_dsq_move_to_local(__u64 queue) __ksym __weak;
extern void scx_bpf_dsq_insert(struct task_struct *task, __u64 queue, __u64 slice,
			       __u64 flags) __ksym __weak;
/* The names of the two until 6.13. */
extern bool scx_bpf_consume(__u64 queue) __ksym __weak;
extern void scx_bpf_dispatch(struct task_struct *task, __u64 queue, __u64 slice,
			     __u64 flags) __ksym __weak;
/* The kernel's own name ends in ___v2; what follows is ours. */
extern bool scx_bpf_dsq_insert___v2___or_void(struct task_struct *task, __u64 queue, __u64 slice,
					      __u64 flags) __ksym __weak;

__u64 enqueued;
__u64 dispatched;
__s64 exit_code;
bool exited;

SEC("struct_ops/fifo_enqueue")
void fifo_enqueue(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	__sync_fetch_and_add(&enqueued, 1);
	if (scx_bpf_dsq_insert___v2___or_void)
		scx_bpf_dsq_insert___v2___or_void(task, QUEUE, SLICE, ctx[1]);
	else if (scx_bpf_dsq_insert)
		scx_bpf_dsq_insert(task, QUEUE, SLICE, ctx[1]);
	else if (scx_bpf_dispatch)
		scx_bpf_dispatch(task, QUEUE, SLICE, ctx[1]);
}

SEC("struct_ops/fifo_dispatch")
void fifo_dispatch(__u64 *ctx)
{
	bool moved = false;

	if (scx_bpf_dsq_move_to_local)
		moved = scx_bpf_dsq_move_to_local(QUEUE);
	else if (scx_bpf_consume)
		moved = scx_bpf_consume(QUEUE);
	if (moved)
		__sync_fetch_and_add(&dispatched, 1);
}

SEC("struct_ops.s/fifo_init")
__s32 fifo_init(__u64 *ctx)
{
	return scx_bpf_create_dsq(QUEUE, ANY_NODE);
}

SEC("struct_ops/fifo_exit")
void fifo_exit(__u64 *ctx)
{
	struct scx_exit_info *info = (void *)ctx[0];

	exit_code = info->exit_code;
	exited = true;
}

SEC(".struct_ops.link")
struct sched_ext_ops fifo = {
	.enqueue = (void *)fifo_enqueue,
	.dispatch = (void *)fifo_dispatch,
	.init = (void *)fifo_init,
	.exit = (void *)fifo_exit,
	.timeout_ms = 5000,
	.name = "purebpf_fifo",
};
