// SPDX-License-Identifier: MIT OR Apache-2.0
// Bit-fields, which machines of either byte order have in other places.
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct flags {
	__u32 first : 3;
	__u32 second : 7;
	__s32 third : 11;
	__u64 wide : 40;
} __attribute__((preserve_access_index));

struct flags *place;
__u64 shifts[3];
__s64 third;

SEC("raw_tp/sys_enter")
int read_bits(void *ctx)
{
	shifts[0] = __builtin_preserve_field_info(place->second, BPF_FIELD_LSHIFT_U64);
	shifts[1] = __builtin_preserve_field_info(place->third, BPF_FIELD_LSHIFT_U64);
	shifts[2] = __builtin_preserve_field_info(place->wide, BPF_FIELD_LSHIFT_U64);
	third = BPF_CORE_READ_BITFIELD_PROBED(place, third);
	return 0;
}
