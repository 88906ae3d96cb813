// SPDX-License-Identifier: MIT OR Apache-2.0
// A program with a function of its own, and programs on that function.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 returned;

__attribute__((noinline)) int judge(int value)
{
	return value + 1;
}

SEC("tc")
int classifies(void *ctx)
{
	return judge(4) + 20;
}

SEC("freplace/judge")
int replacement(int value)
{
	return value + 100;
}

SEC("fexit/judge")
int traced(__u64 *ctx)
{
	returned = ctx[1];
	return 0;
}
