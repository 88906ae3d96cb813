// SPDX-License-Identifier: MIT OR Apache-2.0
/* Enough of a header that musl does not have for the parts of libelf that only its tools use, which are
 * compiled but not linked. */
#pragma once

#include <errno.h>
#include <stdio.h>

typedef int error_t;

struct argp_state {
	char *name;
};

struct argp_option {
	const char *name;
	int key;
	const char *arg;
	int flags;
	const char *doc;
	int group;
};

struct argp {
	const struct argp_option *options;
	error_t (*parser)(int key, char *arg, struct argp_state *state);
	const char *args_doc;
	const char *doc;
	const void *children;
	char *(*help_filter)(int key, const char *text, void *input);
	const char *argp_domain;
};

enum {
	OPTION_ARG_OPTIONAL = 1,
	ARGP_HELP_SEE = 4,
	ARGP_ERR_UNKNOWN = E2BIG,
};

void argp_help(const struct argp *argp, FILE *stream, unsigned flags, char *name);
