// SPDX-License-Identifier: MIT OR Apache-2.0
// What `purebpf run` shows without a file: every process that starts a program, and every one that
// exits.
#include "../../tests/bpf/types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum process_event { EXEC, EXIT };

struct process {
	enum process_event event;
	int pid;
	int parent;
	int exit_code;
	__u64 lifetime_ns;
	char command[16];
	char file[128];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct process);
} processes SEC(".maps");

/* Records that found no room. */
__u64 lost;

struct exec_args {
	__u64 common;
	int filename_loc;
	int pid;
	int old_pid;
};

static __attribute__((always_inline)) void fill(struct process *process, enum process_event event)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	process->event = event;
	process->pid = bpf_get_current_pid_tgid() >> 32;
	process->parent = BPF_CORE_READ(task, real_parent, tgid);
	process->exit_code = 0;
	process->lifetime_ns = bpf_ktime_get_ns() - BPF_CORE_READ(task, group_leader, start_time);
	process->file[0] = 0;
	bpf_get_current_comm(process->command, sizeof(process->command));
}

SEC("tp/sched/sched_process_exec")
int process_exec(struct exec_args *ctx)
{
	struct process *process = bpf_ringbuf_reserve(&processes, sizeof(*process), 0);

	if (!process) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	fill(process, EXEC);
	bpf_probe_read_kernel_str(process->file, sizeof(process->file),
				  (void *)ctx + (ctx->filename_loc & 0xffff));
	bpf_ringbuf_submit(process, 0);
	return 0;
}

SEC("tp/sched/sched_process_exit")
int process_exit(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 id = bpf_get_current_pid_tgid();
	struct process *process;

	/* Threads come and go; a process ends with its first thread. */
	if ((__u32)id != id >> 32)
		return 0;
	process = bpf_ringbuf_reserve(&processes, sizeof(*process), 0);
	if (!process) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	fill(process, EXIT);
	process->exit_code = (BPF_CORE_READ(task, exit_code) >> 8) & 0xff;
	bpf_ringbuf_submit(process, 0);
	return 0;
}
