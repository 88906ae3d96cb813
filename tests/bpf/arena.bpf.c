// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory that programs and user space share by address, with variables in it.
#include "types.h"
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
} arena SEC(".maps");

__u64 __arena counter = 41;

SEC("syscall")
int count(void *ctx)
{
	counter++;
	return counter;
}
