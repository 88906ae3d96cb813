// SPDX-License-Identifier: MIT OR Apache-2.0
// Switches that jump by a table, in a program and in its subprogram.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 choice = 0;
__u64 result;

static __attribute__((noinline)) int inner(__u32 which)
{
	switch (which) {
	case 0: result += 10; break;
	case 1: result *= 21; break;
	case 2: result -= 35; break;
	case 3: result ^= 48; break;
	case 4: result |= 7; break;
	case 5: result = result << 3; break;
	case 6: result = result >> 2; break;
	default: result = 0;
	}
	return result;
}

SEC("raw_tp/sys_enter")
int jumps(void *ctx)
{
	switch (choice) {
	case 0: result = 1; break;
	case 1: result *= 2; break;
	case 2: result += 3; break;
	case 3: result = 5; break;
	case 4: return inner(choice - 1);
	case 5: return inner(choice - 5);
	case 6: result |= 77; break;
	case 7: result = result << 9; break;
	}
	return result;
}
