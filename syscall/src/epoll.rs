//! Waiting for fds.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::CallError;

/// A set of fds to wait for until they can be read (`epoll(7)`), level-triggered.
#[derive(Debug)]
pub struct Epoll(epoll::Epoll);

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// The process may have no more fds.
    pub fn new() -> Result<Self, CallError> {
        let epoll = epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
            .map_err(CallError::at("epoll_create1"))?;
        Ok(Self(epoll::Epoll(crate::call::raise(epoll.0)?)))
    }

    /// Adds an fd; `data` will tell it from others.
    ///
    /// # Errors
    /// `EPERM` for an fd that one cannot wait for, `EEXIST` for one that is in.
    pub fn add(&self, fd: BorrowedFd<'_>, data: u64) -> Result<(), CallError> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, data);
        self.0.add(fd, event).map_err(CallError::at("epoll_ctl"))
    }

    /// As [`Self::add`], but it is ready once it can be written, and then again when more of it can
    /// (edge-triggered): what can be written may be too little to go on.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_for_writing(&self, fd: BorrowedFd<'_>, data: u64) -> Result<(), CallError> {
        let event = EpollEvent::new(EpollFlags::EPOLLOUT | EpollFlags::EPOLLET, data);
        self.0.add(fd, event).map_err(CallError::at("epoll_ctl"))
    }

    /// Takes an fd out.
    ///
    /// # Errors
    /// `ENOENT` for one that is not in.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> Result<(), CallError> {
        self.0.delete(fd).map_err(CallError::at("epoll_ctl"))
    }

    /// Waits until one can be read, for `timeout` at most (without one, for ever), rounded up to
    /// milliseconds; returns the data of up to 64 of those that can.
    ///
    /// # Errors
    /// `EINTR` when a signal came: programs end their loops by that.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Vec<u64>, CallError> {
        let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
            let millis = timeout.as_nanos().div_ceil(1_000_000);
            EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
        });
        let mut events = [EpollEvent::empty(); 64];
        let count = self
            .0
            .wait(&mut events, timeout)
            .map_err(CallError::at("epoll_wait"))?;
        Ok(events.iter().take(count).map(EpollEvent::data).collect())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn wait_names_what_can_be_read() {
        let (read, mut write) = std::io::pipe().unwrap();
        let epoll = Epoll::new().unwrap();
        epoll.add(read.as_fd(), 7).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)), Ok(vec![]));
        assert_eq!(epoll.wait(Some(Duration::from_nanos(1))), Ok(vec![]));
        write.write_all(b"x").unwrap();
        assert_eq!(epoll.wait(None), Ok(vec![7]));
        epoll.remove(read.as_fd()).unwrap();
        assert_eq!(epoll.wait(Some(Duration::ZERO)), Ok(vec![]));
    }
}
