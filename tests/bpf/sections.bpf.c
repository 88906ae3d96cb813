// SPDX-License-Identifier: MIT OR Apache-2.0
// One program for each kind of section, in the order of the table that says what they mean. Each does
// nothing and returns what its kind may return, so that a kernel loads it unless it lacks the kind.
// Where a member of the context can be read with one way of attaching only, it is read; those that may sleep do.
// Those of struct_ops have no map that says of which struct they are, and freplace has no target.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define PROGRAM(section, name, value)                                                              \
	SEC(section)                                                                               \
	int on_##name(void *ctx)                                                                   \
	{                                                                                          \
		return value;                                                                      \
	}

#define READING(section, name, value, context, member)                                             \
	SEC(section)                                                                               \
	int on_##name(struct context *ctx)                                                         \
	{                                                                                          \
		if (ctx->member)                                                                   \
			bpf_get_smp_processor_id();                                                \
		return value;                                                                      \
	}

/* What only a program that may sleep can call. */
#define SLEEPING(section, name, value)                                                             \
	SEC(section)                                                                               \
	int on_##name(void *ctx)                                                                   \
	{                                                                                          \
		char byte;                                                                         \
                                                                                                   \
		bpf_copy_from_user(&byte, sizeof(byte), (void *)1);                                \
		return value;                                                                      \
	}

PROGRAM("socket", socket, 0)
PROGRAM("sk_reuseport/migrate", sk_reuseport_migrate, 1)
PROGRAM("sk_reuseport", sk_reuseport, 1)
PROGRAM("kprobe/vfs_open", kprobe, 0)
PROGRAM("uprobe//proc/self/exe:main", uprobe, 0)
SLEEPING("uprobe.s//proc/self/exe:main", uprobe_s, 0)
PROGRAM("kretprobe/vfs_open", kretprobe, 0)
PROGRAM("uretprobe//proc/self/exe:main", uretprobe, 0)
SLEEPING("uretprobe.s//proc/self/exe:main", uretprobe_s, 0)
PROGRAM("kprobe.multi/vfs_open", kprobe_multi, 0)
PROGRAM("kretprobe.multi/vfs_open", kretprobe_multi, 0)
PROGRAM("kprobe.session/vfs_open", kprobe_session, 0)
PROGRAM("uprobe.multi//proc/self/exe:main", uprobe_multi, 0)
PROGRAM("uretprobe.multi//proc/self/exe:main", uretprobe_multi, 0)
PROGRAM("uprobe.session//proc/self/exe:main", uprobe_session, 0)
SLEEPING("uprobe.multi.s//proc/self/exe:main", uprobe_multi_s, 0)
SLEEPING("uretprobe.multi.s//proc/self/exe:main", uretprobe_multi_s, 0)
SLEEPING("uprobe.session.s//proc/self/exe:main", uprobe_session_s, 0)
PROGRAM("ksyscall/getpgid", ksyscall, 0)
PROGRAM("kretsyscall/getpgid", kretsyscall, 0)
PROGRAM("usdt//proc/self/exe:purebpf:probe", usdt, 0)
SLEEPING("usdt.s//proc/self/exe:purebpf:probe", usdt_s, 0)
PROGRAM("tc/ingress", tc_ingress, 0)
PROGRAM("tc/egress", tc_egress, 0)
PROGRAM("tcx/ingress", tcx_ingress, 0)
PROGRAM("tcx/egress", tcx_egress, 0)
PROGRAM("tc", tc, 0)
PROGRAM("classifier", classifier, 0)
PROGRAM("action", action, 0)
PROGRAM("netkit/primary", netkit_primary, 0)
PROGRAM("netkit/peer", netkit_peer, 0)
PROGRAM("tracepoint/syscalls/sys_enter_getpgid", tracepoint, 0)
PROGRAM("tp/syscalls/sys_enter_getpgid", tp, 0)
SLEEPING("tracepoint.s/syscalls/sys_enter_getpgid", tracepoint_s, 0)
SLEEPING("tp.s/syscalls/sys_enter_getpgid", tp_s, 0)
PROGRAM("raw_tracepoint/sys_enter", raw_tracepoint, 0)
PROGRAM("raw_tp/sys_enter", raw_tp, 0)
SLEEPING("raw_tracepoint.s/sys_enter", raw_tracepoint_s, 0)
SLEEPING("raw_tp.s/sys_enter", raw_tp_s, 0)
PROGRAM("raw_tracepoint.w/sys_enter", raw_tracepoint_w, 0)
PROGRAM("raw_tp.w/sys_enter", raw_tp_w, 0)
PROGRAM("tp_btf/sys_enter", tp_btf, 0)
SLEEPING("tp_btf.s/sys_enter", tp_btf_s, 0)
PROGRAM("fentry/vfs_open", fentry, 0)
PROGRAM("fmod_ret/security_file_open", fmod_ret, 0)
PROGRAM("fexit/vfs_open", fexit, 0)
SLEEPING("fentry.s/bpf_fentry_test1", fentry_s, 0)
SLEEPING("fmod_ret.s/bpf_fentry_test1", fmod_ret_s, 0)
SLEEPING("fexit.s/bpf_fentry_test1", fexit_s, 0)
PROGRAM("fsession/vfs_open", fsession, 0)
SLEEPING("fsession.s/bpf_fentry_test1", fsession_s, 0)
PROGRAM("fsession.multi/vfs_open", fsession_multi, 0)
SLEEPING("fsession.multi.s/bpf_fentry_test1", fsession_multi_s, 0)
PROGRAM("fentry.multi/vfs_open", fentry_multi, 0)
PROGRAM("fexit.multi/vfs_open", fexit_multi, 0)
SLEEPING("fentry.multi.s/bpf_fentry_test1", fentry_multi_s, 0)
SLEEPING("fexit.multi.s/bpf_fentry_test1", fexit_multi_s, 0)
PROGRAM("freplace/function", freplace, 0)
PROGRAM("lsm/file_open", lsm, 0)
SLEEPING("lsm.s/file_open", lsm_s, 0)
PROGRAM("lsm_cgroup/socket_bind", lsm_cgroup, 1)
PROGRAM("iter/task", iter, 0)
SLEEPING("iter.s/task", iter_s, 0)
SLEEPING("syscall", syscall, 0)
READING("xdp.frags/devmap", xdp_frags_devmap, XDP_PASS, xdp_md, egress_ifindex)
READING("xdp/devmap", xdp_devmap, XDP_PASS, xdp_md, egress_ifindex)
PROGRAM("xdp.frags/cpumap", xdp_frags_cpumap, XDP_PASS)
PROGRAM("xdp/cpumap", xdp_cpumap, XDP_PASS)
PROGRAM("xdp.frags", xdp_frags, XDP_PASS)
PROGRAM("xdp", xdp, XDP_PASS)
PROGRAM("perf_event", perf_event, 0)
PROGRAM("lwt_in", lwt_in, 0)
PROGRAM("lwt_out", lwt_out, 0)
PROGRAM("lwt_xmit", lwt_xmit, 0)
PROGRAM("lwt_seg6local", lwt_seg6local, 0)
PROGRAM("sockops", sockops, 1)
PROGRAM("sk_skb/stream_parser", sk_skb_stream_parser, 0)
PROGRAM("sk_skb/stream_verdict", sk_skb_stream_verdict, 1)
PROGRAM("sk_skb/verdict", sk_skb_verdict, 1)
PROGRAM("sk_skb", sk_skb, 1)
PROGRAM("sk_msg", sk_msg, 1)
PROGRAM("lirc_mode2", lirc_mode2, 0)
PROGRAM("flow_dissector", flow_dissector, 0)
PROGRAM("cgroup_skb/ingress", cgroup_skb_ingress, 1)
PROGRAM("cgroup_skb/egress", cgroup_skb_egress, 1)
PROGRAM("cgroup/skb", cgroup_skb, 1)
READING("cgroup/sock_create", cgroup_sock_create, 1, bpf_sock, mark)
READING("cgroup/sock_release", cgroup_sock_release, 1, bpf_sock, mark)
READING("cgroup/sock", cgroup_sock, 1, bpf_sock, mark)
READING("cgroup/post_bind4", cgroup_post_bind4, 1, bpf_sock, src_ip4)
READING("cgroup/post_bind6", cgroup_post_bind6, 1, bpf_sock, src_ip6[0])
READING("cgroup/bind4", cgroup_bind4, 1, bpf_sock_addr, user_ip4)
READING("cgroup/bind6", cgroup_bind6, 1, bpf_sock_addr, user_ip6[0])
READING("cgroup/connect4", cgroup_connect4, 1, bpf_sock_addr, user_ip4)
READING("cgroup/connect6", cgroup_connect6, 1, bpf_sock_addr, user_ip6[0])
PROGRAM("cgroup/connect_unix", cgroup_connect_unix, 1)
READING("cgroup/sendmsg4", cgroup_sendmsg4, 1, bpf_sock_addr, user_ip4)
READING("cgroup/sendmsg6", cgroup_sendmsg6, 1, bpf_sock_addr, user_ip6[0])
PROGRAM("cgroup/sendmsg_unix", cgroup_sendmsg_unix, 1)
READING("cgroup/recvmsg4", cgroup_recvmsg4, 1, bpf_sock_addr, user_ip4)
READING("cgroup/recvmsg6", cgroup_recvmsg6, 1, bpf_sock_addr, user_ip6[0])
PROGRAM("cgroup/recvmsg_unix", cgroup_recvmsg_unix, 1)
READING("cgroup/getpeername4", cgroup_getpeername4, 1, bpf_sock_addr, user_ip4)
READING("cgroup/getpeername6", cgroup_getpeername6, 1, bpf_sock_addr, user_ip6[0])
PROGRAM("cgroup/getpeername_unix", cgroup_getpeername_unix, 1)
READING("cgroup/getsockname4", cgroup_getsockname4, 1, bpf_sock_addr, user_ip4)
READING("cgroup/getsockname6", cgroup_getsockname6, 1, bpf_sock_addr, user_ip6[0])
PROGRAM("cgroup/getsockname_unix", cgroup_getsockname_unix, 1)
PROGRAM("cgroup/sysctl", cgroup_sysctl, 1)
READING("cgroup/getsockopt", cgroup_getsockopt, 1, bpf_sockopt, retval)
PROGRAM("cgroup/setsockopt", cgroup_setsockopt, 1)
PROGRAM("cgroup/dev", cgroup_dev, 1)
PROGRAM("struct_ops/member", struct_ops, 0)
PROGRAM("struct_ops.s/member", struct_ops_s, 0)
PROGRAM("sk_lookup", sk_lookup, 1)
PROGRAM("netfilter", netfilter, 1)
