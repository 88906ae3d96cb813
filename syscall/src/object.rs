//! What all BPF objects have in common: pins, ids; and BTF, tokens, statistics.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

use crate::call::{Command, address, address_mut, bpf, bpf_fd, c_string, length, raw};
use crate::log::{Log, logged};
use crate::{CallError, attr};

fn path_string(command: Command, path: &Path) -> Result<CString, CallError> {
    c_string(command.name, path.as_os_str().as_bytes())
}

fn path_address(path: &CString) -> u64 {
    path.as_ptr().expose_provenance() as u64
}

/// Gives an object a path in a bpffs, which keeps it alive (`BPF_OBJ_PIN`, 4.4).
///
/// # Errors
/// `EEXIST` for a path that is taken, `EINVAL` outside a bpffs, and what the kernel says.
pub fn obj_pin(path: &Path, fd: BorrowedFd<'_>) -> Result<(), CallError> {
    let path = path_string(Command::OBJ_PIN, path)?;
    let mut attr = attr::ObjPath {
        pathname: path_address(&path),
        bpf_fd: fd.as_raw_fd(),
        ..Default::default()
    };
    // SAFETY: the path ends with a zero.
    unsafe { bpf(Command::OBJ_PIN, &mut attr) }.map(drop)
}

/// Opens what is pinned at a path (`BPF_OBJ_GET`, 4.4); `flags` are 0, or `BPF_F_RDONLY` (8) or
/// `BPF_F_WRONLY` (16) for a map.
///
/// # Errors
/// What the kernel says.
pub fn obj_get(path: &Path, flags: u32) -> Result<OwnedFd, CallError> {
    let path = path_string(Command::OBJ_GET, path)?;
    let mut attr = attr::ObjPath {
        pathname: path_address(&path),
        file_flags: flags,
        ..Default::default()
    };
    // SAFETY: the path ends with a zero; an fd comes back.
    unsafe { bpf_fd(Command::OBJ_GET, &mut attr) }
}

/// The kinds of objects that have ids, each with ids of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Programs (4.13).
    Program,
    /// Maps (4.13).
    Map,
    /// BTF (4.18, the walk 5.0).
    Btf,
    /// Links (5.8).
    Link,
}

impl ObjectKind {
    const fn commands(self) -> (Command, Command) {
        match self {
            Self::Program => (Command::PROG_GET_NEXT_ID, Command::PROG_GET_FD_BY_ID),
            Self::Map => (Command::MAP_GET_NEXT_ID, Command::MAP_GET_FD_BY_ID),
            Self::Btf => (Command::BTF_GET_NEXT_ID, Command::BTF_GET_FD_BY_ID),
            Self::Link => (Command::LINK_GET_NEXT_ID, Command::LINK_GET_FD_BY_ID),
        }
    }
}

/// The smallest id above `start`, or `None` after the last (`BPF_*_GET_NEXT_ID`).
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`, and what the kernel says.
pub fn next_id(kind: ObjectKind, start: u32) -> Result<Option<u32>, CallError> {
    let mut attr = attr::ById {
        start_id: start,
        ..Default::default()
    };
    // SAFETY: the attribute holds no address.
    match unsafe { bpf(kind.commands().0, &mut attr) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(error) if error.errno() == Errno::ENOENT => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens an object by id (`BPF_*_GET_FD_BY_ID`); `flags` as for [`obj_get`].
///
/// # Errors
/// `ENOENT` for an id that is free, `EPERM` without `CAP_SYS_ADMIN`, and what the kernel says.
pub fn fd_by_id(kind: ObjectKind, id: u32, flags: u32) -> Result<OwnedFd, CallError> {
    let mut attr = attr::ById {
        start_id: id,
        open_flags: flags,
        ..Default::default()
    };
    // SAFETY: the attribute holds no address; an fd comes back.
    unsafe { bpf_fd(kind.commands().1, &mut attr) }
}

/// Hands BTF to the kernel (`BPF_BTF_LOAD`, 4.18); a token needs 6.9.
///
/// # Errors
/// `EINVAL` for BTF that the kernel does not like, the reason is in the log; and what it says.
pub fn btf_load(
    data: &[u8],
    log: Option<&mut Log<'_>>,
    token: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, CallError> {
    /// `BPF_F_TOKEN_FD`.
    const FLAG_TOKEN: u32 = 1 << 16;
    let command = Command::BTF_LOAD;
    let template = attr::BtfLoad {
        btf: address(data),
        btf_size: length(command, data)?,
        btf_flags: if token.is_some() { FLAG_TOKEN } else { 0 },
        btf_token_fd: raw(token),
        ..Default::default()
    };
    logged(log, |mut log| {
        let mut attr = template;
        if let Some(log) = log.as_deref_mut() {
            attr.btf_log_level = log.level;
            attr.btf_log_size = length(command, log.buffer)?;
            attr.btf_log_buf = address_mut(log.buffer);
        }
        // SAFETY: data and log come with their lengths; an fd comes back.
        let result = unsafe { bpf_fd(command, &mut attr) };
        if let Some(log) = log {
            log.true_size = attr.btf_log_true_size;
        }
        result
    })
}

/// A token for what the mount options of a bpffs delegate (`BPF_TOKEN_CREATE`, 6.9).
///
/// # Errors
/// `ENOENT` for a bpffs that delegates nothing, and what the kernel says.
pub fn token_create(bpffs: BorrowedFd<'_>) -> Result<OwnedFd, CallError> {
    let mut attr = attr::TokenCreate {
        flags: 0,
        bpffs_fd: bpffs.as_raw_fd(),
    };
    // SAFETY: the attribute holds no address; an fd comes back.
    unsafe { bpf_fd(Command::TOKEN_CREATE, &mut attr) }
}

/// Turns on run counts and times of all programs while the fd is open (`BPF_ENABLE_STATS`, 5.8).
///
/// # Errors
/// What the kernel says.
pub fn enable_stats() -> Result<OwnedFd, CallError> {
    // `BPF_STATS_RUN_TIME`, the only kind there is.
    let mut attr = attr::EnableStats { r#type: 0 };
    // SAFETY: the attribute holds no address; an fd comes back.
    unsafe { bpf_fd(Command::ENABLE_STATS, &mut attr) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_zero_inside_is_refused() {
        let error = obj_get(Path::new("a\0b"), 0).unwrap_err();
        assert_eq!(
            (error.call(), error.errno()),
            ("BPF_OBJ_GET", Errno::EINVAL)
        );
    }
}
