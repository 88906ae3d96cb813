// SPDX-License-Identifier: MIT OR Apache-2.0
// A program whose symbols and lines are in a file of their own: tests set probes on them. It needs no
// library, so that it runs wherever its processor does. `twice` is inlined into both others.

static inline __attribute__((always_inline)) long twice(long value)
{
	__asm__ volatile("" : "+r"(value));
	return 2 * value;
}

static __attribute__((noinline)) long first(long value)
{
	return twice(value) + 1;
}

static __attribute__((noinline)) long second(long value)
{
	long sum = 0;

	for (long i = 0; i < value; i++)
		sum += twice(i);
	return sum;
}

static __attribute__((noreturn)) void leave(long code)
{
	for (;;)
		__asm__ volatile("syscall" : : "a"(231), "D"(code) : "rcx", "r11", "memory");
}

void _start(void)
{
	leave(first(1) + second(3) - 9);
}
