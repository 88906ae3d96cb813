// SPDX-License-Identifier: MIT OR Apache-2.0
// Symbols of the kernel: by address, and a variable of each CPU by its type, which 5.10 does not have.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct rq {
	int cpu;
} __attribute__((preserve_access_index));


extern const struct rq runqueues __ksym;
extern const struct rq never_heard_of __ksym __weak;
extern const void vfs_open __ksym;
extern const void no_such_symbol __ksym __weak;

__u64 address = 1;
__u64 missing = 1;
__u64 missing_variable = 1;
__u32 cpu = -1;
__u32 first_cpu = -1;

SEC("raw_tp/sys_enter")
int read_addresses(void *ctx)
{
	address = (__u64)&vfs_open;
	missing = (__u64)&no_such_symbol;
	return 0;
}

SEC("raw_tp/sys_enter")
int read_variables(void *ctx)
{
	const struct rq *here = bpf_this_cpu_ptr(&runqueues);
	const struct rq *first = bpf_per_cpu_ptr(&runqueues, 0);

	cpu = here->cpu;
	if (first)
		first_cpu = first->cpu;
	missing_variable = &never_heard_of != 0;
	return 0;
}

/* Checked: beyond the last CPU there is none. */
SEC("raw_tp/sys_enter")
int trust_a_pointer(void *ctx)
{
	const struct rq *first = bpf_per_cpu_ptr(&runqueues, 0);

	return first->cpu;
}
