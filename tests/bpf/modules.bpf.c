// SPDX-License-Identifier: MIT OR Apache-2.0
// What modules of the kernel bring: functions that programs call or trace, and types. Where there is
// no such module, or it has no BTF, functions are missing and the programs that call them still load.
#include "conntrack.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

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

__u64 traced;
int error;
bool has_type;
bool has_member;
bool has_missing;
__u32 size;
__u32 offset;
bool has_bbr;

SEC("tc")
int look_up_from_tc(struct __sk_buff *ctx)
{
	if (!bpf_skb_ct_lookup || !bpf_ct_release)
		return MISSING;
	return LOOK_UP(bpf_skb_ct_lookup, ctx, error);
}

SEC("xdp")
int look_up_from_xdp(struct xdp_md *ctx)
{
	if (!bpf_xdp_ct_lookup || !bpf_ct_release)
		return MISSING;
	return LOOK_UP(bpf_xdp_ct_lookup, ctx, error);
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

SEC("fentry/nf_conntrack:nf_conntrack_find_get")
int on_entry(__u64 *ctx)
{
	traced++;
	return 0;
}

SEC("fexit/nf_conntrack:nf_conntrack_find_get")
int on_exit(__u64 *ctx)
{
	traced++;
	return 0;
}

SEC("fentry/nf_conntrack_find_get")
int on_entry_of_any_module(__u64 *ctx)
{
	traced++;
	return 0;
}

SEC("fentry/nf_connt:nf_conntrack_find_get")
int on_entry_by_beginning_of_module(__u64 *ctx)
{
	return 0;
}

SEC("fentry/tcp_bbr:nf_conntrack_find_get")
int on_entry_in_wrong_module(__u64 *ctx)
{
	return 0;
}

SEC("fentry/never_heard_of:nf_conntrack_find_get")
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
