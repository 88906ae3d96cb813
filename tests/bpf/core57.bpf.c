// SPDX-License-Identifier: MIT OR Apache-2.0
// A program with 57 CO-RE relocations, for benchmarks.
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

__u64 sum;

SEC("raw_tp/sys_enter")
int add_up(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	sum += BPF_CORE_READ(task, pid);
	sum += BPF_CORE_READ(task, tgid);
	sum += BPF_CORE_READ(task, prio);
	sum += BPF_CORE_READ(task, static_prio);
	sum += BPF_CORE_READ(task, exit_code);
	sum += BPF_CORE_READ(task, exit_signal);
	sum += BPF_CORE_READ(task, flags);
	sum += BPF_CORE_READ(task, policy);
	sum += BPF_CORE_READ(task, nvcsw);
	sum += BPF_CORE_READ(task, nivcsw);
	sum += BPF_CORE_READ(task, start_time);
	sum += BPF_CORE_READ(task, real_parent, pid);
	sum += BPF_CORE_READ(task, real_parent, tgid);
	sum += BPF_CORE_READ(task, real_parent, prio);
	sum += BPF_CORE_READ(task, real_parent, static_prio);
	sum += BPF_CORE_READ(task, real_parent, exit_code);
	sum += BPF_CORE_READ(task, real_parent, exit_signal);
	sum += BPF_CORE_READ(task, real_parent, flags);
	sum += BPF_CORE_READ(task, real_parent, policy);
	sum += BPF_CORE_READ(task, real_parent, nvcsw);
	sum += BPF_CORE_READ(task, real_parent, nivcsw);
	sum += BPF_CORE_READ(task, real_parent, start_time);
	sum += BPF_CORE_READ(task, group_leader, pid);
	sum += BPF_CORE_READ(task, group_leader, tgid);
	sum += BPF_CORE_READ(task, group_leader, prio);
	sum += BPF_CORE_READ(task, group_leader, static_prio);
	sum += BPF_CORE_READ(task, group_leader, exit_code);
	sum += BPF_CORE_READ(task, group_leader, exit_signal);
	sum += BPF_CORE_READ(task, group_leader, flags);
	sum += BPF_CORE_READ(task, group_leader, policy);
	sum += BPF_CORE_READ(task, group_leader, nvcsw);
	sum += BPF_CORE_READ(task, group_leader, nivcsw);
	sum += BPF_CORE_READ(task, group_leader, start_time);
	sum += BPF_CORE_READ(task, mm, total_vm);
	return 0;
}
