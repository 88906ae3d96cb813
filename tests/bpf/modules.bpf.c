// SPDX-License-Identifier: MIT OR Apache-2.0
// What modules of the kernel bring: functions that programs call or trace, and types. Where there is
// no such module, or it has no BTF, functions are missing and the programs that call them still load.
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct nf_conn;

struct bpf_sock_tuple {
	struct {
		__be32 saddr;
		__be32 daddr;
		__be16 sport;
		__be16 dport;
	} ipv4;
};

/* As the first kernels had it; it has grown since. */
struct bpf_ct_opts___first {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* These two only nf_conntrack has. */
struct nf_ct_iter_data {
	void *data;
	int report;
};

struct nf_conn_counter___missing {
	int never_heard_of;
};

/* And this one tcp_bbr. */
struct bbr {
	__u32 min_rtt_us;
	__u32 full_bw;
};

#pragma clang attribute pop

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple_len, struct bpf_ct_opts___first *opts,
					 __u32 opts_len) __ksym __weak;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple_len, struct bpf_ct_opts___first *opts,
					 __u32 opts_len) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *connection) __ksym __weak;
extern struct nf_conn *bpf_skb_ct_lookup___two_arguments(struct __sk_buff *ctx,
							 struct bpf_sock_tuple *tuple) __ksym __weak;
extern int bpf_ct_never_heard_of(struct nf_conn *connection) __ksym __weak;

enum { MISSING = 100, FOUND = 200, NOT_FOUND = 300 };
enum { ENOENT = 2, TCP = 6, CURRENT_NETNS = -1 };

__u64 traced;
int error;
bool has_type;
bool has_member;
bool has_missing;
__u32 size;
__u32 offset;
bool has_bbr;

/* Asks for a connection that is not there: the function says so in its options. */
#define LOOK_UP(function)                                                                          \
	struct bpf_sock_tuple tuple = {};                                                          \
	struct bpf_ct_opts___first opts = { .netns_id = CURRENT_NETNS, .l4proto = TCP };           \
	struct nf_conn *connection;                                                                \
                                                                                                   \
	if (!function || !bpf_ct_release)                                                          \
		return MISSING;                                                                    \
	connection = function(ctx, &tuple, sizeof(tuple), &opts, sizeof(opts));                    \
	error = opts.error;                                                                        \
	if (!connection)                                                                           \
		return NOT_FOUND;                                                                  \
	bpf_ct_release(connection);                                                                \
	return FOUND;

SEC("tc")
int look_up_from_tc(struct __sk_buff *ctx)
{
	LOOK_UP(bpf_skb_ct_lookup)
}

SEC("xdp")
int look_up_from_xdp(struct xdp_md *ctx)
{
	LOOK_UP(bpf_xdp_ct_lookup)
}

/* A socket filter may not call it. */
SEC("socket")
int look_up_from_socket(struct __sk_buff *ctx)
{
	LOOK_UP(bpf_skb_ct_lookup)
}

/* The module has a function of this name with more arguments, and none of the other name. */
SEC("tc")
int others_are_missing(struct __sk_buff *ctx)
{
	struct bpf_sock_tuple tuple = {};

	if (bpf_skb_ct_lookup___two_arguments)
		bpf_skb_ct_lookup___two_arguments(ctx, &tuple);
	if (bpf_ct_never_heard_of)
		bpf_ct_never_heard_of(0);
	return MISSING;
}

SEC("tc")
int leaks_a_connection(struct __sk_buff *ctx)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts___first opts = { .netns_id = CURRENT_NETNS, .l4proto = TCP };

	if (!bpf_skb_ct_lookup)
		return MISSING;
	return bpf_skb_ct_lookup(ctx, &tuple, sizeof(tuple), &opts, sizeof(opts)) ? FOUND : NOT_FOUND;
}

SEC("fentry/nf_conntrack:nf_conntrack_in")
int on_entry(__u64 *ctx)
{
	traced++;
	return 0;
}

SEC("fexit/nf_conntrack:nf_conntrack_in")
int on_exit(__u64 *ctx)
{
	traced++;
	return 0;
}

SEC("fentry/nf_conntrack_in")
int on_entry_of_any_module(__u64 *ctx)
{
	traced++;
	return 0;
}

SEC("fentry/nf_connt:nf_conntrack_in")
int on_entry_by_beginning_of_module(__u64 *ctx)
{
	return 0;
}

SEC("fentry/tcp_bbr:nf_conntrack_in")
int on_entry_in_wrong_module(__u64 *ctx)
{
	return 0;
}

SEC("fentry/never_heard_of:nf_conntrack_in")
int on_entry_in_missing_module(__u64 *ctx)
{
	return 0;
}

SEC("fentry/vmlinux:vfs_open")
int on_entry_in_vmlinux(__u64 *ctx)
{
	return 0;
}

SEC("fentry/vm:vfs_open")
int on_entry_by_beginning_of_vmlinux(__u64 *ctx)
{
	return 0;
}

SEC("fentry/nf_conntrack:vfs_open")
int on_entry_of_vmlinux_in_module(__u64 *ctx)
{
	return 0;
}

SEC("raw_tp/sys_enter")
int ask_for_types(void *ctx)
{
	has_type = bpf_core_type_exists(struct nf_ct_iter_data);
	has_member = bpf_core_field_exists(struct nf_ct_iter_data, report);
	has_missing = bpf_core_field_exists(struct nf_conn_counter___missing, never_heard_of);
	size = bpf_core_type_size(struct nf_ct_iter_data);
	has_bbr = bpf_core_field_exists(struct bbr, full_bw);
	return 0;
}

/* Where no module has the type, nothing says where the member is. */
SEC("raw_tp/sys_enter")
int ask_for_offset(void *ctx)
{
	offset = bpf_core_field_offset(struct nf_ct_iter_data, report);
	return 0;
}
