//! Tokens: the right to load, given by whoever mounted a bpffs.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use purebpf_syscall::token_create;

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
}

impl AsFd for Token {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
