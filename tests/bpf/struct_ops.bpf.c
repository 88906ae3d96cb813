// SPDX-License-Identifier: MIT OR Apache-2.0
// A TCP congestion control that does as little as one can do, and an older and a newer form of it.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock;
struct rate_sample;
enum tcp_ca_event { CA_EVENT_NONE };

struct tcp_congestion_ops {
	char name[16];
	__u32 flags;
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	void (*set_state)(struct sock *sk, __u8 new_state);
	__u32 (*undo_cwnd)(struct sock *sk);
};

struct tcp_congestion_ops___future {
	char name[16];
	__u32 flags;
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	__u32 (*never_heard_of)(struct sock *sk);
};

#pragma clang attribute pop

__u64 calls;

SEC("struct_ops")
__u32 plain_ssthresh(__u64 *ctx)
{
	calls++;
	return 2;
}

SEC("struct_ops")
void plain_cong_avoid(__u64 *ctx)
{
	calls++;
}

SEC("struct_ops")
void plain_set_state(__u64 *ctx)
{
	calls++;
}

SEC("struct_ops")
__u32 plain_undo_cwnd(__u64 *ctx)
{
	return 2;
}

SEC(".struct_ops")
struct tcp_congestion_ops plain = {
	.ssthresh = (void *)plain_ssthresh,
	.cong_avoid = (void *)plain_cong_avoid,
	.set_state = (void *)plain_set_state,
	.undo_cwnd = (void *)plain_undo_cwnd,
	.name = "purebpf_plain",
};

SEC("?.struct_ops")
struct tcp_congestion_ops___future future = {
	.ssthresh = (void *)plain_ssthresh,
	.cong_avoid = (void *)plain_cong_avoid,
	.undo_cwnd = (void *)plain_undo_cwnd,
	.name = "purebpf_future",
};
