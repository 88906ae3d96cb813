// SPDX-License-Identifier: MIT OR Apache-2.0
// A function that no kernel has, behind one that every kernel has.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void purebpf_absent_function(void) __ksym;

SEC("raw_tp/sys_enter")
int call_it(void *ctx)
{
	bpf_rcu_read_lock();
	purebpf_absent_function();
	bpf_rcu_read_unlock();
	return 0;
}
