// SPDX-License-Identifier: MIT OR Apache-2.0
// 50 programs, or as many as a header says, with 100 CO-RE relocations each.
#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

__u64 sum;

#define FIELDS(DO) \
	DO(pid) DO(tgid) DO(prio) DO(static_prio) DO(normal_prio) DO(exit_code) DO(exit_signal) \
	DO(flags) DO(policy) DO(nvcsw) DO(nivcsw) DO(start_time) DO(start_boottime) DO(min_flt) \
	DO(maj_flt) DO(utime) DO(stime) DO(gtime) DO(pdeath_signal) DO(personality)

#define DECLARE(field) int field;
struct task_struct___many {
	struct task_struct___many *real_parent, *group_leader;
	FIELDS(DECLARE)
} __attribute__((preserve_access_index));

#define OWN(field) sum += BPF_CORE_READ(task, field);
#define PARENTS(field) sum += BPF_CORE_READ(task, real_parent, field);
#define LEADERS(field) sum += BPF_CORE_READ(task, group_leader, field);

#define PROGRAM(name) \
	SEC("raw_tp/sys_enter") \
	int name(void *ctx) \
	{ \
		struct task_struct___many *task = (void *)bpf_get_current_task(); \
		FIELDS(OWN) FIELDS(PARENTS) FIELDS(LEADERS) \
		return 0; \
	}

#ifdef PROGRAMS
#include PROGRAMS
#else
#define TEN(ten) \
	PROGRAM(p##ten##0) PROGRAM(p##ten##1) PROGRAM(p##ten##2) PROGRAM(p##ten##3) PROGRAM(p##ten##4) \
	PROGRAM(p##ten##5) PROGRAM(p##ten##6) PROGRAM(p##ten##7) PROGRAM(p##ten##8) PROGRAM(p##ten##9)

TEN(0) TEN(1) TEN(2) TEN(3) TEN(4)
#endif
