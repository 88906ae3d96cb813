//! Single sockets: what of what arrives is kept, and which of several gets it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use purebpf_syscall::{Errno, SocketProgram, duplicate, socket_attach, socket_detach};

use crate::{Error, Link, Program};

/// A socket, for programs of types `socket_filter` and `sk_reuseport`, which it has one of each.
///
/// The target and its links hold the socket open. After [`Link::disconnect`] the program stays, and
/// the socket is closed with the last fd of it.
#[doc(alias = "SO_ATTACH_BPF")]
#[derive(Clone, Debug)]
pub struct Socket {
    socket: Arc<OwnedFd>,
    what: SocketProgram,
}

impl Socket {
    /// The program says how much is kept of each packet that arrives (3.19).
    ///
    /// # Errors
    /// The process may have no more fds.
    pub fn filter(socket: &impl AsFd) -> Result<Self, Error> {
        Self::new(socket, SocketProgram::Filter)
    }

    /// The program chooses among the sockets that share the port of this one (4.5); they have to be
    /// bound. It may be a `socket_filter` as well, which returns the number of the socket.
    ///
    /// # Errors
    /// As [`Self::filter`].
    #[doc(alias = "SO_ATTACH_REUSEPORT_EBPF")]
    pub fn reuseport(socket: &impl AsFd) -> Result<Self, Error> {
        Self::new(socket, SocketProgram::Reuseport)
    }

    fn new(socket: &impl AsFd, what: SocketProgram) -> Result<Self, Error> {
        let socket = duplicate(socket.as_fd()).map_err(Error::call("socket", "hold it"))?;
        let socket = Arc::new(socket);
        Ok(Self { socket, what })
    }

    /// Detaches the program that is there, whoever attached it.
    ///
    /// # Errors
    /// `ENOENT` if there is none, and what the kernel says.
    #[doc(alias = "SO_DETACH_BPF")]
    pub fn detach(&self) -> Result<(), Error> {
        let detached = socket_detach(self.socket.as_fd(), self.what);
        detached.map_err(Error::call("socket", "detach its program"))
    }
}

impl super::Target for Socket {
    /// Takes the place of a program that is there. Detaching leaves none, even if another has taken
    /// this one's place: the kernel does not tell which one a socket has.
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        socket_attach(self.socket.as_fd(), self.what, program.as_fd())
            .map_err(Error::call(program, "attach it to a socket"))?;
        let this = self.clone();
        Link::unlinked(program, Some(program), move || match this.detach() {
            Err(error) if error.is_errno(Errno::ENOENT) => Ok(()),
            result => result,
        })
    }
}
