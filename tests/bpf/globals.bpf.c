// SPDX-License-Identifier: MIT OR Apache-2.0
// Global variables of every section, set before loading and seen afterwards.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 factor = 3;
const volatile bool enabled = true;
__u64 start = 100;
__u64 calls;
__u64 result;
static volatile __u32 hidden_state = 7;
__u32 elsewhere SEC(".data.elsewhere") = 5;

SEC("raw_tp/sys_enter")
int compute(void *ctx)
{
	if (!enabled)
		return 0;
	calls++;
	result = start * factor + hidden_state + elsewhere;
	return 0;
}
