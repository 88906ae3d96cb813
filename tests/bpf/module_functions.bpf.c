// SPDX-License-Identifier: MIT OR Apache-2.0
// Functions of a module that the object cannot do without. Kernels before 6.12 take them only so: a
// weak one is asked for by its address, which they do not know.
#include "conntrack.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple_len, struct bpf_ct_opts___first *opts,
					 __u32 opts_len) __ksym;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple_len, struct bpf_ct_opts___first *opts,
					 __u32 opts_len) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *connection, __u32 timeout) __ksym;

int error;

SEC("tc")
int look_up_from_tc(struct __sk_buff *ctx)
{
	return LOOK_UP(bpf_skb_ct_lookup, ctx, error);
}

SEC("xdp")
int look_up_from_xdp(struct xdp_md *ctx)
{
	return LOOK_UP(bpf_xdp_ct_lookup, ctx, error);
}

SEC("tc")
int do_without(struct __sk_buff *ctx)
{
	return 0;
}

/* No connection: the verifier refuses it. */
SEC("tc")
int change_nothing(struct __sk_buff *ctx)
{
	return bpf_ct_change_timeout(0, 1);
}

/* A socket filter may not call it. */
SEC("socket")
int look_up_from_socket(struct __sk_buff *ctx)
{
	return LOOK_UP(bpf_skb_ct_lookup, ctx, error);
}

SEC("tc")
int leak_a_connection(struct __sk_buff *ctx)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts___first opts = { .netns_id = CURRENT_NETNS, .l4proto = TCP };

	return bpf_skb_ct_lookup(ctx, &tuple, sizeof(tuple), &opts, sizeof(opts)) ? FOUND : NOT_FOUND;
}
