//! Calls in another network name space.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{FileStat, fstat};

use crate::CallError;

/// Does something in a network name space: in this thread if that is where it is, which takes no
/// right; or else in one of its own, so that this one stays where it is.
///
/// # Errors
/// `EPERM` without the right to enter it, `EINVAL` for an fd of something else, and that of `call`.
pub fn in_network_namespace<T: Send>(
    namespace: BorrowedFd<'_>,
    call: impl FnOnce() -> Result<T, CallError> + Send,
) -> Result<T, CallError> {
    if is_here(namespace) {
        return call();
    }
    let there = || {
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(CallError::at("setns"))?;
        call()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, there);
        let thread = thread.map_err(|error| CallError::io("clone", &error))?;
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The network name space of this thread, to come back to.
///
/// # Errors
/// `/proc` is not there.
pub fn network_namespace() -> Result<OwnedFd, CallError> {
    let file = File::open("/proc/thread-self/ns/net");
    file.map(Into::into)
        .map_err(|error| CallError::io("open", &error))
}

/// Whether this thread is in it, as far as can be told.
fn is_here(namespace: BorrowedFd<'_>) -> bool {
    let Ok(here) = network_namespace() else {
        return false;
    };
    let [here, there] = [here.as_fd(), namespace].map(|fd| fstat(fd).ok());
    let identity = |stat: Option<FileStat>| stat.map(|stat| (stat.st_dev, stat.st_ino));
    here.is_some() && identity(here) == identity(there)
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn what_is_no_name_space_is_not_entered() {
        let file = File::open("/dev/null").unwrap();
        let error = in_network_namespace(file.as_fd(), || Ok(())).unwrap_err();
        assert_eq!((error.call(), error.errno()), ("setns", Errno::EINVAL));
    }

    #[test]
    fn the_name_space_of_a_thread_needs_no_other_thread() {
        let thread = std::thread::current().id();
        let here = network_namespace().unwrap();
        let there = in_network_namespace(here.as_fd(), || Ok(std::thread::current().id()));
        assert_eq!(there.unwrap(), thread);
    }
}
