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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

__u64 table[4];

/* The index is not bounded. */
SEC("raw_tp/sys_enter")
int out_of_bounds(void *ctx)
{
	return table[bpf_get_prandom_u32()];
}

SEC("raw_tp/sys_enter")
int leak(void *ctx)
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (event)
		*event = 1; /* and never submitted */
	return 0;
}

/* The fault is behind a branch, in a subprogram. */
static __attribute__((noinline)) __u64 look_up(__u32 key)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (key == 7)
		return *value;
	return 0;
}

SEC("raw_tp/sys_enter")
int in_subprogram(void *ctx)
{
	return look_up(bpf_get_prandom_u32());
}

static __attribute__((noinline)) int absent(void)
{
	struct task_struct___absent *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, no_such_member);
}

SEC("raw_tp/sys_enter")
int missing_in_subprogram(void *ctx)
{
	return absent();
}

/* Verified by itself, so anything may be passed. */
__attribute__((noinline)) int global_function(__u64 *value)
{
	return *value;
}

SEC("raw_tp/sys_enter")
int through_global_function(void *ctx)
{
	return global_function(0);
}

SEC("raw_tp/sys_enter")
int wrong_helper(void *ctx)
{
	return bpf_redirect(1, 0);
}

SEC("raw_tp/sys_enter")
int endless(void *ctx)
{
	volatile int i = 0;

	while (i < 10)
		i = 1;
	return 0;
}

extern void purebpf_absent_function(void) __ksym __weak;

SEC("raw_tp/sys_enter")
int missing_function(void *ctx)
{
	purebpf_absent_function(); /* without a check */
	return 0;
}
