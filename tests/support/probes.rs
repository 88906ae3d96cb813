//! Static probes of a test program: instructions that do nothing, and notes about them as `sys/sdt.h`
//! writes them for the machine.

use std::arch::asm;
use std::sync::atomic::AtomicU16;

/// The counter of those who want the probe `counted`.
#[unsafe(no_mangle)]
pub(crate) static PUREBPF_COUNTED: AtomicU16 = AtomicU16::new(0);

/// What differs by machine: the instruction, three registers, and how arguments in them are written.
#[cfg(target_arch = "x86_64")]
macro_rules! probe {
    ($($what:tt)*) => { place!(["nop", "edi", "rsi", "rdx"] $($what)*) };
}
#[cfg(target_arch = "x86_64")]
macro_rules! arguments {
    // The assembler of the compiler takes a dollar only by its number.
    (all) => {
        "-4@%edi 8@%rsi 2@6(%rdx) -1@\\044-3"
    };
    (first) => {
        "-4@%edi"
    };
    (second) => {
        "-4@%esi"
    };
    (element) => {
        "4@4(%rdx,%rsi,4)"
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! probe {
    ($($what:tt)*) => { place!(["nop", "x0", "x1", "x2"] $($what)*) };
}
#[cfg(target_arch = "aarch64")]
macro_rules! arguments {
    (all) => {
        "-4@x0 8@x1 2@[x2, 6] -1@-3"
    };
    (first) => {
        "-4@x0"
    };
    (second) => {
        "-4@x1"
    };
    (element) => {
        "4@[x2, 20]"
    };
}

#[cfg(target_arch = "s390x")]
macro_rules! probe {
    ($($what:tt)*) => { place!(["nop 0", "r2", "r3", "r4"] $($what)*) };
}
#[cfg(target_arch = "s390x")]
macro_rules! arguments {
    (all) => {
        "-4@%r2 8@%r3 2@6(%r4) -1@-3"
    };
    (first) => {
        "-4@%r2"
    };
    (second) => {
        "-4@%r3"
    };
    (element) => {
        "4@20(%r4)"
    };
}

macro_rules! place {
    (
        [$nop:literal, $first:tt, $second:tt, $third:tt]
        $name:literal, $semaphore:literal, $arguments:ident,
        $a:expr, $b:expr, $c:expr $(, $($operands:tt)*)?
    ) => {
        // SAFETY: it does nothing; the rest goes into a section that is not loaded.
        unsafe {
            asm!(
                concat!("990: ", $nop),
                ".pushsection .note.stapsdt, \"?\", \"note\"",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b",
                ".8byte 0",
                concat!(".8byte ", $semaphore),
                ".asciz \"purebpf\"",
                concat!(".asciz \"", $name, "\""),
                concat!(".asciz \"", arguments!($arguments), "\""),
                "994: .balign 4",
                ".popsection",
                in($first) $a, in($second) $b, in($third) $c,
                $($($operands)*,)? options(nostack)
            )
        }
    };
}

#[inline(never)]
pub(crate) fn plain(a: i32, b: u64, c: &[u16; 4]) {
    probe!("plain", "0", all, a, b, c);
}

/// The same probe at two places, with its arguments in other registers.
#[inline(never)]
pub(crate) fn elsewhere(a: i32) {
    probe!("plain", "0", first, a, 0, 0);
    probe!("plain", "0", second, 0, a + 1, 0);
}

/// Another one, which other tests do not pass.
#[inline(never)]
pub(crate) fn alone(a: i32) {
    probe!("alone", "0", first, a, 0, 0);
    probe!("alone", "0", second, 0, a + 1, 0);
}

#[inline(never)]
pub(crate) fn ordered(a: i32) {
    probe!("ordered", "0", first, a, 0, 0);
}

/// Its argument is `values[5]`, by an index of 4 where the machine has such addresses.
#[inline(never)]
pub(crate) fn counted(values: &[u32; 8]) {
    probe!(
        "counted", "{semaphore}", element, 0, 4_u64, values,
        semaphore = sym PUREBPF_COUNTED
    );
}
