//! File systems: which one a path is on.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::statfs::{FsType, fstatfs, statfs};
use nix::unistd::{AccessFlags, faccessat};

use crate::CallError;

/// A file system that BPF has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileSystem {
    /// Where objects are pinned.
    Bpf,
    /// `/sys`.
    Sysfs,
    /// Tracing.
    Tracefs,
    /// Control groups, version 2.
    Cgroup2,
}

const MAGIC: [(u32, FileSystem); 4] = [
    (0xcafe_4a11, FileSystem::Bpf),
    (0x6265_6572, FileSystem::Sysfs),
    (0x7472_6163, FileSystem::Tracefs),
    (0x6367_7270, FileSystem::Cgroup2),
];

fn known(kind: FsType) -> Option<FileSystem> {
    // Its width and sign depend on the machine, the magic number has 32 bits.
    let magic = kind.0 as u32;
    MAGIC
        .iter()
        .find(|(number, _)| *number == magic)
        .map(|(_, system)| *system)
}

/// The file system that a path is on, `None` if it is none of the known ones.
///
/// # Errors
/// `ENOENT` without such a path, and what else `statfs` says.
pub fn file_system(path: &Path) -> Result<Option<FileSystem>, CallError> {
    statfs(path)
        .map(|info| known(info.filesystem_type()))
        .map_err(CallError::at("statfs"))
}

/// The file system that an open file is on.
///
/// # Errors
/// What `fstatfs` says.
pub fn file_system_of(fd: BorrowedFd<'_>) -> Result<Option<FileSystem>, CallError> {
    fstatfs(fd)
        .map(|info| known(info.filesystem_type()))
        .map_err(CallError::at("fstatfs"))
}

/// Whether this process, with its effective rights, may read a file, and execute it if asked for.
#[must_use]
pub fn is_accessible(path: &Path, execute: bool) -> bool {
    let mode = AccessFlags::R_OK
        | if execute {
            AccessFlags::X_OK
        } else {
            AccessFlags::empty()
        };
    faccessat(AT_FDCWD, path, mode, AtFlags::AT_EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysfs_is_told_from_others() {
        assert_eq!(file_system(Path::new("/sys")), Ok(Some(FileSystem::Sysfs)));
        assert_eq!(file_system(Path::new("/proc")), Ok(None));
        assert!(file_system(Path::new("/no/such/path")).is_err());
    }

    #[test]
    fn access_asks_for_what_is_needed() {
        assert!(is_accessible(Path::new("/proc/self/status"), false));
        assert!(!is_accessible(Path::new("/proc/self/status"), true));
        assert!(!is_accessible(Path::new("/no/such/path"), false));
    }
}
