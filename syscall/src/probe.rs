//! Questions to the kernel that take a malformed call to ask.

use nix::errno::Errno;

/// Whether `bpf(2)` takes a second block with a log for every command: it looks at the address of
/// that block then, and finds none.
#[must_use]
pub fn has_common_attributes() -> bool {
    const PROG_LOAD: libc::c_long = 5;
    const COMMON: libc::c_long = 1 << 16;
    let attr = [0_u64; 21];
    // SAFETY: `attr` is valid for its size; the null address with a length of 24 is refused.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_LOAD | COMMON,
            attr.as_ptr(),
            size_of_val(&attr),
            std::ptr::null::<u8>(),
            24_usize,
        )
    };
    result < 0 && Errno::last() == Errno::EFAULT
}

/// Whether uprobes can be hit by a system call instead of a trap (x86-64 only): it tells a caller
/// who is no probe by an error of its own.
#[must_use]
pub fn has_uprobe_syscall() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        const UPROBE: libc::c_long = 336;
        // SAFETY: without arguments, and refused outside a probe's own code.
        let result = unsafe { libc::syscall(UPROBE) };
        result < 0 && Errno::last() == Errno::ENXIO
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}
