// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs on a function of another program: `thrice` of subprograms.bpf.c.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 returned;

SEC("freplace/thrice")
int replacement(int value)
{
	return value + 100;
}

SEC("fexit/thrice")
int traced(__u64 *ctx)
{
	returned = ctx[1];
	return 0;
}
