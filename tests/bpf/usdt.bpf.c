// SPDX-License-Identifier: MIT OR Apache-2.0
// Static probes of user space, by the header that libbpf's users have.
#include "types.h"
#include <bpf/bpf_helpers.h>

/* The header takes these from the kernel's own. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	unsigned long orig_rax, rip, cs, eflags, rsp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
#else
struct pt_regs;
typedef struct {
	unsigned long args[1];
	struct {
		unsigned long mask, addr;
	} psw;
	unsigned long gprs[16];
} user_pt_regs;
#endif
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

__u32 target;

struct event {
	__u64 count;
	__u64 cookie;
	long values[4];
	long results[4];
};

static int report(struct pt_regs *ctx)
{
	struct event event = {};

	if (bpf_get_current_pid_tgid() >> 32 != target)
		return 0;
	event.count = bpf_usdt_arg_cnt(ctx);
	event.cookie = bpf_usdt_cookie(ctx);
	event.results[0] = bpf_usdt_arg(ctx, 0, &event.values[0]);
	event.results[1] = bpf_usdt_arg(ctx, 1, &event.values[1]);
	event.results[2] = bpf_usdt_arg(ctx, 2, &event.values[2]);
	event.results[3] = bpf_usdt_arg(ctx, 3, &event.values[3]);
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return 0;
}

SEC("usdt")
int by_hand(struct pt_regs *ctx)
{
	return report(ctx);
}

SEC("usdt//proc/self/exe:purebpf:plain")
int by_section(struct pt_regs *ctx)
{
	return report(ctx);
}
