//! `bpf(2)` itself: commands, retries, and the fds it hands out.
//!
//! # Safety
//! [`bpf`] is the one place that passes an attribute block to the kernel. Whoever calls it has put
//! in only addresses of slices that live across the call and are at least as long as the length
//! that the kernel goes by; each call site says which length that is.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use bytemuck::Pod;
use libc::c_long;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::log::Log;
use crate::{CallError, attr};

/// A command of `bpf(2)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    number: i32,
    pub(crate) name: &'static str,
}

macro_rules! commands {
    ($($name:ident = $number:literal,)*) => {
        impl Command {
            $(pub(crate) const $name: Self =
                Self { number: $number, name: concat!("BPF_", stringify!($name)) };)*
        }
    };
}

commands! {
    MAP_CREATE = 0,
    MAP_LOOKUP_ELEM = 1,
    MAP_UPDATE_ELEM = 2,
    MAP_DELETE_ELEM = 3,
    MAP_GET_NEXT_KEY = 4,
    PROG_LOAD = 5,
    OBJ_PIN = 6,
    OBJ_GET = 7,
    PROG_ATTACH = 8,
    PROG_DETACH = 9,
    PROG_TEST_RUN = 10,
    PROG_GET_NEXT_ID = 11,
    MAP_GET_NEXT_ID = 12,
    PROG_GET_FD_BY_ID = 13,
    MAP_GET_FD_BY_ID = 14,
    OBJ_GET_INFO_BY_FD = 15,
    PROG_QUERY = 16,
    RAW_TRACEPOINT_OPEN = 17,
    BTF_LOAD = 18,
    BTF_GET_FD_BY_ID = 19,
    TASK_FD_QUERY = 20,
    MAP_LOOKUP_AND_DELETE_ELEM = 21,
    MAP_FREEZE = 22,
    BTF_GET_NEXT_ID = 23,
    MAP_LOOKUP_BATCH = 24,
    MAP_LOOKUP_AND_DELETE_BATCH = 25,
    MAP_UPDATE_BATCH = 26,
    MAP_DELETE_BATCH = 27,
    LINK_CREATE = 28,
    LINK_UPDATE = 29,
    LINK_GET_FD_BY_ID = 30,
    LINK_GET_NEXT_ID = 31,
    ENABLE_STATS = 32,
    ITER_CREATE = 33,
    LINK_DETACH = 34,
    PROG_BIND_MAP = 35,
    TOKEN_CREATE = 36,
    PROG_STREAM_READ_BY_FD = 37,
    PROG_ASSOC_STRUCT_OPS = 38,
}

/// How often a call is made before `EAGAIN` or `EINTR` is passed on.
pub(crate) const ATTEMPTS: u32 = 5;

/// Issues one command; the result is what the system call returned, never negative.
///
/// # Safety
/// Every address in `attr` is zero, or valid for what `command` reads and writes there.
#[inline]
pub(crate) unsafe fn bpf<A: Pod>(command: Command, attr: &mut A) -> Result<c_long, CallError> {
    // SAFETY: passed on to the caller.
    match unsafe { bpf_once(command, attr) } {
        // SAFETY: as above.
        Err(error) => again(error, || unsafe { bpf_once(command, attr) }),
        done => done,
    }
}

/// Makes a call that failed until it is not interrupted, a few times.
#[cold]
fn again(
    mut error: CallError,
    mut call: impl FnMut() -> Result<c_long, CallError>,
) -> Result<c_long, CallError> {
    for _ in 1..ATTEMPTS {
        if !error.is_interruption() {
            break;
        }
        match call() {
            Err(next) => error = next,
            done => return done,
        }
    }
    Err(error)
}

/// As [`bpf`], but an interrupted call is not made again.
///
/// # Safety
/// As [`bpf`].
#[inline]
pub(crate) unsafe fn bpf_once<A: Pod>(command: Command, attr: &mut A) -> Result<c_long, CallError> {
    let attr: *mut A = attr;
    let number = c_long::from(command.number);
    // SAFETY: `attr` is valid for `size_of::<A>()` bytes, which is the length passed; the addresses
    // inside are good by this function's own contract.
    let result = unsafe { libc::syscall(libc::SYS_bpf, number, attr, size_of::<A>()) };
    checked(command, result)
}

/// As [`bpf`], with the block that goes with every command.
///
/// # Safety
/// As [`bpf`], also for the addresses in `common`.
unsafe fn bpf_with<A: Pod>(
    command: Command,
    attr: &mut A,
    common: &mut attr::Common,
) -> Result<c_long, CallError> {
    /// Says that there is such a block.
    const COMMON: c_long = 1 << 16;
    let mut call = || {
        let (attr, common): (*mut A, *mut attr::Common) = (attr, common);
        let number = c_long::from(command.number) | COMMON;
        // SAFETY: both blocks are valid for the lengths passed; the addresses inside are good by this
        // function's own contract.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                number,
                attr,
                size_of::<A>(),
                common,
                size_of::<attr::Common>(),
            )
        };
        checked(command, result)
    };
    call().or_else(|error| again(error, call))
}

#[inline]
fn checked(command: Command, result: c_long) -> Result<c_long, CallError> {
    if result >= 0 {
        Ok(result)
    } else {
        Err(CallError::last(command.name))
    }
}

/// Issues a command that returns an fd.
///
/// # Safety
/// As [`bpf`]; and the command returns an fd, which nobody else owns.
pub(crate) unsafe fn bpf_fd<A: Pod>(command: Command, attr: &mut A) -> Result<OwnedFd, CallError> {
    // SAFETY: passed on to the caller.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: passed on to the caller; the kernel made this fd during the call.
    unsafe { own(command.name, fd) }
}

/// As [`bpf_fd`], with a log for a command that has none of its own; see
/// [`has_common_attributes`](crate::probe::has_common_attributes).
///
/// # Safety
/// As [`bpf_fd`].
pub(crate) unsafe fn bpf_fd_with_log<A: Pod>(
    command: Command,
    attr: &mut A,
    log: &mut Log<'_>,
) -> Result<OwnedFd, CallError> {
    let mut common = attr::Common {
        log_buf: address_mut(log.buffer),
        log_size: length(command, log.buffer)?,
        log_level: log.level,
        log_true_size: 0,
        pad: 0,
    };
    // SAFETY: passed on to the caller; the log comes with its length.
    let fd = unsafe { bpf_with(command, attr, &mut common) };
    log.true_size = common.log_true_size;
    // SAFETY: passed on to the caller; the kernel made this fd during the call.
    unsafe { own(command.name, fd?) }
}

/// Takes over an fd from the kernel.
///
/// # Safety
/// `fd` is an open fd that nobody else owns.
pub(crate) unsafe fn own(call: &'static str, fd: c_long) -> Result<OwnedFd, CallError> {
    let raw = i32::try_from(fd).map_err(|_| CallError::new(call, Errno::EBADF))?;
    // SAFETY: open and ours, by this function's contract.
    raise(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Moves an fd out of the range of stdin, stdout and stderr: a later `dup2` onto one of those, or a
/// plain print, must not hit a BPF object, and `bpf(2)` takes 0 for "no fd".
///
/// # Errors
/// The process may have no more fds.
pub fn raise(fd: OwnedFd) -> Result<OwnedFd, CallError> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        Ok(fd)
    } else {
        duplicate(fd.as_fd())
    }
}

/// Another fd of the same open file: close-on-exec, never 0, 1 or 2.
///
/// # Errors
/// The process may have no more fds.
pub fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, CallError> {
    let lowest = libc::STDERR_FILENO + 1;
    let raw = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(lowest)).map_err(CallError::at("fcntl"))?;
    // SAFETY: fcntl has just made this fd.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Lets go of what `fd` refers to, though others still hold a borrow of it: the number stays open
/// and refers to an empty eventfd from now on.
///
/// # Errors
/// The process may have no more fds; nothing is changed then.
pub fn retire(fd: &OwnedFd) -> Result<(), CallError> {
    use nix::sys::eventfd::{EfdFlags, EventFd};
    let empty = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(CallError::at("eventfd"))?;
    let (from, to) = (empty.as_fd().as_raw_fd(), fd.as_raw_fd());
    // SAFETY: both are open for the whole call, and `to` is ours by the reference to its owner;
    // it goes on being an open fd that the same owner will close.
    match unsafe { libc::dup3(from, to, libc::O_CLOEXEC) } {
        -1 => Err(CallError::last("dup3")),
        _ => Ok(()),
    }
}

/// The address of a slice that the kernel reads; zero for an empty one, which the kernel wants null.
#[inline]
pub(crate) fn address<T>(slice: &[T]) -> u64 {
    if slice.is_empty() {
        0
    } else {
        slice.as_ptr().expose_provenance() as u64
    }
}

/// The address of a slice that the kernel writes.
#[inline]
pub(crate) fn address_mut<T>(slice: &mut [T]) -> u64 {
    if slice.is_empty() {
        0
    } else {
        slice.as_mut_ptr().expose_provenance() as u64
    }
}

/// The length of a slice in the 32 bits that `bpf_attr` has for it.
pub(crate) fn length<T>(command: Command, slice: &[T]) -> Result<u32, CallError> {
    u32::try_from(slice.len()).map_err(|_| CallError::new(command.name, Errno::E2BIG))
}

/// A path or name with its closing zero.
pub(crate) fn c_string(
    call: &'static str,
    bytes: impl Into<Vec<u8>>,
) -> Result<std::ffi::CString, CallError> {
    std::ffi::CString::new(bytes).map_err(|_| CallError::new(call, Errno::EINVAL))
}

/// What the kernel takes for "no fd": zero, which [`raise`] keeps from being a real one.
pub(crate) fn raw(fd: Option<BorrowedFd<'_>>) -> i32 {
    fd.map_or(0, |fd| fd.as_raw_fd())
}

/// An object's name as the kernel stores it: the first 15 bytes.
pub(crate) fn object_name(name: &str) -> [u8; 16] {
    let mut stored = [0; 16];
    for (to, from) in stored.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    stored
}

/// A name as the kernel gave it: up to the first zero.
pub(crate) fn stored_name(stored: &[u8]) -> String {
    let end = stored
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(stored.len());
    String::from_utf8_lossy(stored.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    #[test]
    fn names_are_cut_at_fifteen_bytes() {
        assert_eq!(object_name("abc"), *b"abc\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(
            stored_name(&object_name("a_name_of_twenty_by_")),
            "a_name_of_twent"
        );
        assert_eq!(stored_name(b"0123456789abcdef"), "0123456789abcdef");
    }

    #[test]
    fn no_fd_is_zero_and_an_empty_slice_is_null() {
        assert_eq!(raw(None), 0);
        assert_eq!(address::<u64>(&[]), 0);
        assert_ne!(address(&[1]), 0);
    }

    #[test]
    fn duplicate_is_above_stderr_and_closed_on_exec() {
        let fd = duplicate(File::open("/dev/null").unwrap().as_fd()).unwrap();
        assert!(fd.as_raw_fd() > 2);
        assert_eq!(
            fcntl(&fd, FcntlArg::F_GETFD).unwrap() & libc::FD_CLOEXEC,
            libc::FD_CLOEXEC
        );
    }

    #[test]
    fn retire_releases_the_file_and_keeps_the_number() {
        let (mut read, write) = std::io::pipe().unwrap();
        let write = OwnedFd::from(write);
        let borrowed = write.as_fd();
        retire(&write).unwrap();
        let mut rest = Vec::new();
        // With the only writer gone the reader sees the end instead of blocking.
        std::io::Read::read_to_end(&mut read, &mut rest).unwrap();
        assert!(rest.is_empty());
        assert!(fcntl(borrowed, FcntlArg::F_GETFD).is_ok());
        assert!(File::from(write).write(b"x").is_err());
    }
}
