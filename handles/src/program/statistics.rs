//! Counting how often and how long programs run.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use purebpf_syscall::enable_stats;

use crate::Error;

/// While this or a clone of it is there, the kernel counts the runs and the time of all programs, for
/// [`Program::info`](crate::Program::info) (5.8). It costs each run a little time.
#[doc(alias = "bpf_enable_stats")]
#[must_use = "dropping the last clone ends the counting"]
#[derive(Clone, Debug)]
pub struct RunStatistics {
    _fd: Arc<OwnedFd>,
}

impl RunStatistics {
    /// Begins to count.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.8, `EPERM` without `CAP_SYS_ADMIN`, and what the kernel says.
    pub fn enable() -> Result<Self, Error> {
        let fd = enable_stats().map_err(Error::call("statistics", "enable them"))?;
        Ok(Self { _fd: Arc::new(fd) })
    }
}
