// SPDX-License-Identifier: MIT OR Apache-2.0
// Functions, variables and addresses of the kernel, there and not, each used twice.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void purebpf_missing_function(void) __ksym __weak;
extern const int bpf_prog_active __ksym;
extern const int purebpf_missing_variable __ksym __weak;
extern const void schedule __ksym;
extern const void purebpf_missing_symbol __ksym __weak;

__u64 address, address_again, missing, missing_again;
__u32 is_active, is_active_again, is_missing, is_missing_again;

static __attribute__((noinline)) int again(void)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	if (purebpf_missing_function)
		purebpf_missing_function();
	address_again = (__u64)&schedule;
	missing_again = (__u64)&purebpf_missing_symbol;
	return 0;
}

SEC("raw_tp/sys_enter")
int find_symbols(void *ctx)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	if (purebpf_missing_function)
		purebpf_missing_function();
	address = (__u64)&schedule;
	missing = (__u64)&purebpf_missing_symbol;
	return again();
}

/* Not every kernel keeps the addresses of its variables. */
SEC("?raw_tp/sys_enter")
int find_variables(void *ctx)
{
	is_active = *(int *)bpf_this_cpu_ptr(&bpf_prog_active) != 0;
	is_missing = !&purebpf_missing_variable;
	is_active_again = *(int *)bpf_this_cpu_ptr(&bpf_prog_active) != 0;
	is_missing_again = !&purebpf_missing_variable;
	return 0;
}
