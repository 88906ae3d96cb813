//! Programs on sockets.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::CallError;

/// What a program on a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketProgram {
    /// It says how much of what arrives is kept (`SO_ATTACH_BPF`, 3.19).
    Filter,
    /// It chooses among the sockets that share a port (`SO_ATTACH_REUSEPORT_EBPF`, 4.5).
    Reuseport,
}

impl SocketProgram {
    /// Options that attach and detach, by name.
    const fn options(self) -> [(libc::c_int, &'static str); 2] {
        match self {
            Self::Filter => [
                (libc::SO_ATTACH_BPF, "SO_ATTACH_BPF"),
                (libc::SO_DETACH_BPF, "SO_DETACH_BPF"),
            ],
            Self::Reuseport => [
                (libc::SO_ATTACH_REUSEPORT_EBPF, "SO_ATTACH_REUSEPORT_EBPF"),
                (libc::SO_DETACH_REUSEPORT_BPF, "SO_DETACH_REUSEPORT_BPF"),
            ],
        }
    }
}

/// Attaches a program to a socket, in the place of one that is there.
///
/// # Errors
/// What the kernel says.
pub fn socket_attach(
    socket: BorrowedFd<'_>,
    what: SocketProgram,
    program: BorrowedFd<'_>,
) -> Result<(), CallError> {
    let [attach, _] = what.options();
    set(socket, attach, program.as_raw_fd())
}

/// Detaches the program of a socket (3.19; of a shared port 5.3).
///
/// # Errors
/// `ENOENT` without one, and what the kernel says.
pub fn socket_detach(socket: BorrowedFd<'_>, what: SocketProgram) -> Result<(), CallError> {
    let [_, detach] = what.options();
    set(socket, detach, 0)
}

fn set(
    socket: BorrowedFd<'_>,
    (option, name): (libc::c_int, &'static str),
    value: libc::c_int,
) -> Result<(), CallError> {
    // SAFETY: the address is of an int, the length says so.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(CallError::last(name)),
    }
}
