// SPDX-License-Identifier: MIT OR Apache-2.0
// Global functions that take the context as what older verifiers do not know it by.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define IS_CTX __attribute__((btf_decl_tag("arg:ctx")))

/* Keeps the compiler from knowing what a function returns. */
static int unknown(int value)
{
	asm volatile("" : "+r"(value));
	return value;
}

__attribute__((noinline)) int by_nothing(void *ctx IS_CTX, int value)
{
	bpf_get_attach_cookie(ctx);
	return unknown(value);
}

__attribute__((noinline)) int by_words(__u64 *ctx IS_CTX, void *again IS_CTX)
{
	__u64 *words = again;

	return unknown(ctx[0] == words[0]) + 1;
}

SEC("kprobe")
int probed(void *ctx)
{
	return by_nothing(ctx, 1);
}

SEC("raw_tp/sys_enter")
int traced(__u64 *ctx)
{
	return by_words(ctx, ctx);
}

/* Neither of the two is any of its business. */
SEC("raw_tp/sys_enter")
int plain(void *ctx)
{
	return 3;
}
