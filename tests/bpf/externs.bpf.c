// SPDX-License-Identifier: MIT OR Apache-2.0
// Values of the kernel's configuration, and symbols that a kernel may lack.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_HAS_BPF_COOKIE __kconfig __weak;
extern unsigned CONFIG_HZ __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern bool CONFIG_PUREBPF_MISSING __kconfig __weak;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig __weak;
extern const void purebpf_missing_symbol __ksym __weak;
extern void purebpf_missing_function(void) __ksym __weak;

__u32 version;
__u32 hz;
bool has_syscall;
bool has_missing = true;
bool has_symbol = true;

SEC("raw_tp/sys_enter")
int read_externs(void *ctx)
{
	version = LINUX_KERNEL_VERSION;
	hz = CONFIG_HZ;
	has_syscall = CONFIG_BPF_SYSCALL;
	has_missing = CONFIG_PUREBPF_MISSING || CONFIG_DEFAULT_HOSTNAME[0] == 1;
	has_symbol = &purebpf_missing_symbol != 0;
	if (purebpf_missing_function)
		purebpf_missing_function();
	return LINUX_HAS_BPF_COOKIE;
}
