//! Programs that processes hold attached by perf events and raw tracepoints.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use purebpf_syscall::{CallError, ENOTSUPP, Errno, TaskFdInfo, task_fd_query};

use crate::{Error, ProgramId};

/// An fd of a process behind which there is a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskFd {
    /// The process.
    pub pid: u32,
    /// Its fd.
    pub fd: u32,
    /// The program.
    pub program: ProgramId,
    /// What it is attached to.
    pub place: TaskFdPlace,
}

/// What the program behind an fd is attached to (`enum bpf_task_fd_type`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskFdPlace {
    /// A raw tracepoint, by name.
    RawTracepoint(String),
    /// A tracepoint, by name.
    Tracepoint(String),
    /// A function of the kernel, or its return.
    Kprobe {
        /// The function; empty if it is attached by address.
        function: String,
        /// Bytes behind its start.
        offset: u64,
        /// The address, 0 if the kernel does not tell.
        address: u64,
        /// At its return.
        retprobe: bool,
    },
    /// A place in a binary, or the return of the function there.
    Uprobe {
        /// The binary.
        path: PathBuf,
        /// Bytes behind the start of the file.
        offset: u64,
        /// At its return.
        retprobe: bool,
    },
    /// One of a type that is not in this list, by number.
    Other(u32),
}

impl TaskFdPlace {
    fn from(info: TaskFdInfo) -> Self {
        let name = || String::from_utf8_lossy(&info.name).into_owned();
        match info.fd_type {
            0 => Self::RawTracepoint(name()),
            1 => Self::Tracepoint(name()),
            2 | 3 => Self::Kprobe {
                function: name(),
                offset: info.offset,
                address: info.address,
                retprobe: info.fd_type == 3,
            },
            4 | 5 => Self::Uprobe {
                path: PathBuf::from(OsString::from_vec(info.name)),
                offset: info.offset,
                retprobe: info.fd_type == 5,
            },
            other => Self::Other(other),
        }
    }
}

impl TaskFd {
    /// What there is behind an fd (4.18); `None` if that is no program at a place.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, and what else the kernel says. That there is no such process
    /// is none.
    #[doc(alias = "bpf_task_fd_query")]
    pub fn query(pid: u32, fd: u32) -> Result<Option<Self>, Error> {
        match task_fd_query(pid, fd) {
            Ok(info) => Ok(Some(Self {
                pid,
                fd,
                program: ProgramId(info.program_id),
                place: TaskFdPlace::from(info),
            })),
            Err(error) if is_no_program(error) => Ok(None),
            Err(error) => Err(Error::call(
                format_args!("fd {fd} of process {pid}"),
                "ask for its program",
            )(error)),
        }
    }

    /// Those of all processes, by process and fd. A process that ends meanwhile is left out.
    ///
    /// # Errors
    /// `/proc` cannot be read, and as [`Self::query`].
    pub fn all() -> Result<Vec<Self>, Error> {
        let mut found = Vec::new();
        for pid in numbers(Path::new("/proc"))? {
            let fds = PathBuf::from(format!("/proc/{pid}/fd"));
            for fd in numbers(&fds)? {
                if may_be_program(&fds.join(fd.to_string())) {
                    found.extend(Self::query(pid, fd)?);
                }
            }
        }
        Ok(found)
    }
}

fn is_no_program(error: CallError) -> bool {
    let gone = matches!(error.errno(), Errno::ENOENT | Errno::EBADF | Errno::ESRCH);
    gone || error.errno() == Errno::EOPNOTSUPP || error.raw_os_error() == ENOTSUPP
}

/// The names in a directory that are numbers, ascending; none if it is gone.
fn numbers(directory: &Path) -> Result<Vec<u32>, Error> {
    let gone = |error: &io::Error| {
        let raw = error.raw_os_error().map(Errno::from_raw);
        matches!(raw, Some(Errno::ENOENT | Errno::ESRCH))
    };
    let names = match fs::read_dir(directory) {
        Err(error) if gone(&error) => return Ok(Vec::new()),
        names => names.map_err(Error::file("read directory", directory))?,
    };
    let numbers = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether an fd is a perf event or of BPF, as its name in `/proc` says: most are files and sockets.
fn may_be_program(fd: &Path) -> bool {
    let name = fs::read_link(fd).unwrap_or_default();
    let name = name.to_string_lossy();
    name.starts_with("anon_inode:") && (name.contains("perf") || name.contains("bpf"))
}
