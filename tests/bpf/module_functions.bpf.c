// SPDX-License-Identifier: MIT OR Apache-2.0
// A function of a module that the object cannot do without.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct nf_conn;

extern int bpf_ct_change_timeout(struct nf_conn *connection, __u32 timeout) __ksym;

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
