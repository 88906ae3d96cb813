// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs on kernel functions by their BTF; not every kernel allows them.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u32 target;
__u64 entered;
__u64 left;

static bool is_target(void)
{
	return bpf_get_current_pid_tgid() >> 32 == target;
}

SEC("fentry/vfs_open")
int on_fentry(__u64 *ctx)
{
	if (is_target())
		entered++;
	return 0;
}

SEC("fexit/vfs_open")
int on_fexit(__u64 *ctx)
{
	if (is_target())
		left++;
	return 0;
}
