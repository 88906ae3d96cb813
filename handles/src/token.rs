//! Tokens: the right to load, given by whoever mounted a bpffs.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use purebpf_syscall::{duplicate, raise, token_create};

use crate::Error;

/// A token of a user name space (6.9). A clone is the same, and dropping the last one closes it.
#[doc(alias = "bpf_token_create")]
#[derive(Clone, Debug)]
pub struct Token {
    fd: Arc<OwnedFd>,
}

impl Token {
    /// A token for what the mount options of the bpffs at `path` delegate.
    ///
    /// # Errors
    /// `ENOENT` for a bpffs that delegates nothing, and what the kernel says.
    pub fn from_bpffs(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bpffs = File::open(path).map_err(Error::file("open bpffs", path))?;
        let fd = token_create(bpffs.as_fd()).map_err(Error::call(
            format_args!("bpffs {}", path.display()),
            "create a token",
        ))?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Takes over an fd of a token, for instance from another process.
    ///
    /// # Errors
    /// The fd cannot be moved out of the range of stdin, stdout and stderr. Whether it is of a token is
    /// seen where it is used.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        let fd = raise(fd).map_err(Error::call("token by fd", "move it"))?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// A new fd of the token, for whoever wants one of its own: a clone of the handle costs none. It is
    /// close-on-exec and above 2.
    ///
    /// # Errors
    /// The process may have no more fds.
    pub fn try_clone_fd(&self) -> Result<OwnedFd, Error> {
        duplicate(self.as_fd()).map_err(Error::call("token", "duplicate its fd"))
    }
}

impl AsFd for Token {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
