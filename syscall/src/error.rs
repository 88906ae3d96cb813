//! What the kernel answered when it said no.

use std::fmt;

use nix::errno::Errno;

/// `ENOTSUPP`, an error number that the kernel keeps to itself, yet `bpf(2)` lets out.
pub const ENOTSUPP: i32 = 524;

/// A refused system call: which one, and the error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallError {
    call: &'static str,
    raw: i32,
}

impl CallError {
    pub(crate) const fn new(call: &'static str, errno: Errno) -> Self {
        Self::from_raw(call, errno as i32)
    }

    /// A call that was made elsewhere, and its error number.
    #[must_use]
    pub const fn from_raw(call: &'static str, raw: i32) -> Self {
        Self { call, raw }
    }

    /// For the result of a `nix` function.
    pub(crate) const fn at(call: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::new(call, errno)
    }

    #[cold]
    pub(crate) fn last(call: &'static str) -> Self {
        Self::from_raw(call, Errno::last_raw())
    }

    /// For the result of a call that the standard library made.
    #[must_use]
    pub fn io(call: &'static str, error: &std::io::Error) -> Self {
        Self::from_raw(call, error.raw_os_error().unwrap_or(Errno::EIO as i32))
    }

    /// The call: `BPF_MAP_CREATE`, `perf_event_open`, `mmap`, ...
    #[must_use]
    pub const fn call(&self) -> &'static str {
        self.call
    }

    /// The error number by name; `UnknownErrno` for [`ENOTSUPP`] and others without a name.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        Errno::from_raw(self.raw)
    }

    /// The call did not get to do anything and can be made again.
    pub(crate) const fn is_interruption(&self) -> bool {
        self.raw == Errno::EAGAIN as i32 || self.raw == Errno::EINTR as i32
    }

    /// The error number.
    #[inline]
    #[must_use]
    pub const fn raw_os_error(&self) -> i32 {
        self.raw
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.raw, self.errno()) {
            (ENOTSUPP, _) => {
                write!(f, "{}: ENOTSUPP: Operation is not supported", self.call)
            }
            (raw, Errno::UnknownErrno) => write!(f, "{}: error number {raw}", self.call),
            (_, errno) => write!(f, "{}: {errno}", self.call),
        }
    }
}

impl std::error::Error for CallError {}

impl From<CallError> for std::io::Error {
    fn from(error: CallError) -> Self {
        Self::from_raw_os_error(error.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_call_and_number() {
        let text = |raw| CallError::from_raw("BPF_MAP_CREATE", raw).to_string();
        assert_eq!(text(1), "BPF_MAP_CREATE: EPERM: Operation not permitted");
        assert_eq!(
            text(524),
            "BPF_MAP_CREATE: ENOTSUPP: Operation is not supported"
        );
        assert_eq!(text(4000), "BPF_MAP_CREATE: error number 4000");
    }
}
