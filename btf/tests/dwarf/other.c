/* A second unit: some types again, another prototype of a name, another static function of one. */

typedef unsigned long word;

struct declared {
	word value;
};

struct packed;

static __attribute__((noinline)) int hidden(long value)
{
	return value != 3;
}

word use_declared(struct declared *declared, struct packed *packed)
{
	return declared->value + (packed != 0) + hidden(declared->value);
}
