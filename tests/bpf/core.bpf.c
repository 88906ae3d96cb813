// SPDX-License-Identifier: MIT OR Apache-2.0
// CO-RE relocations: chains of members, and every kind of question about types.
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct___renamed {
	int exit_code;
	int no_such_member;
} __attribute__((preserve_access_index));

struct no_such_struct {
	int member;
} __attribute__((preserve_access_index));

enum pid_type { PIDTYPE_PID = 50, PIDTYPE_TGID = 51 };
enum pid_type___other { PIDTYPE_NEVER = 60 };

struct answers {
	__u64 pid, parent, leader_start, total_vm;
	__u64 size, exists, missing, byte_offset, byte_size, is_signed;
	__u64 type_exists, type_missing, type_size, local_id, target_id;
	__u64 enum_exists, enum_missing, enum_value;
	char comm[16];
};

struct answers answers;

SEC("raw_tp/sys_enter")
int ask(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___renamed *renamed = (void *)task;

	answers.pid = BPF_CORE_READ(task, pid);
	answers.parent = BPF_CORE_READ(task, real_parent, tgid);
	answers.leader_start = BPF_CORE_READ(task, group_leader, start_time);
	answers.total_vm = BPF_CORE_READ(task, mm, total_vm);
	BPF_CORE_READ_STR_INTO(&answers.comm, task, comm);

	answers.exists = bpf_core_field_exists(renamed->exit_code);
	answers.missing = bpf_core_field_exists(renamed->no_such_member);
	answers.byte_offset = bpf_core_field_offset(task->pid);
	answers.byte_size = bpf_core_field_size(task->comm);
	answers.is_signed = __builtin_preserve_field_info(task->pid, BPF_FIELD_SIGNED);
	answers.size = __builtin_preserve_field_info(task->pid, BPF_FIELD_LSHIFT_U64) * 100 +
		       __builtin_preserve_field_info(task->pid, BPF_FIELD_RSHIFT_U64);

	answers.type_exists = bpf_core_type_exists(struct task_struct);
	answers.type_missing = bpf_core_type_exists(struct no_such_struct);
	answers.type_size = bpf_core_type_size(struct task_struct);
	answers.local_id = bpf_core_type_id_local(struct task_struct);
	answers.target_id = bpf_core_type_id_kernel(struct task_struct);

	answers.enum_exists = bpf_core_enum_value_exists(enum pid_type, PIDTYPE_TGID);
	answers.enum_missing = bpf_core_enum_value_exists(enum pid_type___other, PIDTYPE_NEVER);
	answers.enum_value = bpf_core_enum_value(enum pid_type, PIDTYPE_TGID);
	return 0;
}
