// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that prints to its streams, by whichever function the kernel has for that.
#include "types.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/* 6.18, and from 7.0 on, where the last argument goes without saying. */
extern int bpf_stream_vprintk_impl(int stream, const char *fmt__str, const void *args,
				   __u32 len__sz, void *aux__prog) __ksym __weak;
extern int bpf_stream_vprintk(int stream, const char *fmt__str, const void *args,
			      __u32 len__sz) __ksym __weak;

__u32 printed;

static void print(int stream, const char *text, __u64 number)
{
	__u64 args[1] = { number };

	if (bpf_stream_vprintk_impl)
		printed += bpf_stream_vprintk_impl(stream, text, args, sizeof(args), (void *)0) == 0;
	else if (bpf_stream_vprintk)
		printed += bpf_stream_vprintk(stream, text, args, sizeof(args)) == 0;
}

SEC("syscall")
int prints(void *ctx)
{
	static const char out[] = "out %d\n", err[] = "error %d\n";

	print(1, out, 1);
	print(2, err, 2);
	return printed;
}
