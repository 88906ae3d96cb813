// SPDX-License-Identifier: MIT OR Apache-2.0
// A variable of the kernel that has another type than here: an error, though it may be missing.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern const int runqueues __ksym __weak;

SEC("raw_tp/sys_enter")
int read_variable(void *ctx)
{
	return *(const int *)bpf_this_cpu_ptr(&runqueues);
}
