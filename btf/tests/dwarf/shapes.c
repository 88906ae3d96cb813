/* What DWARF can say of C, each thing once. */

typedef unsigned long word;
typedef int (*callback)(const char *name, word count, ...);

enum color { RED, GREEN = 7, BLUE = -1 };
enum big { HUGE_VALUE = 0x123456789abcULL, SMALL_VALUE = 1 };

struct declared;
union declared_union;

struct bits {
	unsigned int a : 3;
	unsigned int b : 7;
	int c;
	unsigned long long d : 40;
	_Bool e : 1;
};

struct node {
	struct node *next;
	volatile struct node *const *others;
	union {
		int number;
		struct {
			short low;
			short high;
		};
	};
	struct {
		char text[3][5];
		double real;
	} inner;
	struct declared *declared;
	union declared_union *declared_union;
	enum color color : 4;
	enum big big;
	callback call;
	signed char small;
	unsigned char flexible[];
};

struct __attribute__((packed)) packed {
	char a;
	long b;
};

struct bits some_bits;
static word counter = 1;
int percpu_like __attribute__((section(".data..percpu"))) = 3;

static __attribute__((noinline)) int hidden(const struct node *restrict node, word index)
{
	return node->inner.text[0][index % 5] + (int)counter++;
}

int visible(struct node *node, callback call)
{
	struct local {
		int only_here;
	} local = { 1 };
	return hidden(node, node->big) + call("x", 1, local.only_here);
}

long with_packed(struct packed *packed, _Bool flag, float ratio)
{
	return packed->b + flag + (long)ratio + some_bits.b + percpu_like;
}
