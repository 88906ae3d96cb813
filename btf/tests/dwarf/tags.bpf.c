/* Attributes, and arrays as clang writes them. */

#define __user __attribute__((btf_type_tag("user")))
#define __percpu __attribute__((btf_type_tag("percpu")))
#define __note(text) __attribute__((btf_decl_tag(text)))

typedef int noted __note("typedef");

struct tagged {
	int __user *plain __note("member");
	struct tagged __percpu __user *two;
	long matrix[2][3];
} __note("struct");

struct tagged global __note("variable");

__attribute__((section("tc"))) __note("function") int run(struct tagged *ctx __note("parameter"))
{
	noted result = ctx->plain != 0;
	return result + (int)global.matrix[1][2];
}
