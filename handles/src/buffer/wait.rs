//! Waiting for the other side of a buffer.

use std::fmt::Display;
use std::time::Duration;

use purebpf_syscall::{Epoll, Errno};

use crate::Error;

/// Waits until one of the fds is ready, for `timeout` at most; whether one is. A signal ends the
/// wait, so that a loop around it can look whether to stop.
pub(super) fn wait(
    epoll: &Epoll,
    object: &dyn Display,
    timeout: Option<Duration>,
) -> Result<bool, Error> {
    match epoll.wait(timeout) {
        Ok(ready) => Ok(!ready.is_empty()),
        Err(error) if error.errno() == Errno::EINTR => Ok(false),
        Err(error) => Err(Error::call(object, "wait for it")(error)),
    }
}
