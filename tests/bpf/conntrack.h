/* Functions of the module nf_conntrack, as far as the fixtures call them. */
#ifndef PUREBPF_CONNTRACK_H
#define PUREBPF_CONNTRACK_H

#include "types.h"

/* More than its name, or no kernel's function would be taken for one that has it. */
struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

struct bpf_sock_tuple {
	struct {
		__be32 saddr;
		__be32 daddr;
		__be16 sport;
		__be16 dport;
	} ipv4;
};

/* As the first kernels had it; it has grown since. */
struct bpf_ct_opts___first {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

enum { MISSING = 100, FOUND = 200, NOT_FOUND = 300 };
enum { TCP = 6, CURRENT_NETNS = -1 };

/* Asks for a connection that is not there; the function says so in its options. */
#define LOOK_UP(function, ctx, error)                                                              \
	({                                                                                         \
		struct bpf_sock_tuple tuple = {};                                                  \
		struct bpf_ct_opts___first opts = { .netns_id = CURRENT_NETNS, .l4proto = TCP };   \
		struct nf_conn *connection;                                                        \
                                                                                                   \
		connection = function(ctx, &tuple, sizeof(tuple), &opts, sizeof(opts));            \
		error = opts.error;                                                                \
		if (connection)                                                                    \
			bpf_ct_release(connection);                                                \
		connection ? FOUND : NOT_FOUND;                                                    \
	})

#endif
