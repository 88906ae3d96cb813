//! The system calls of one thread of another process, stopped at one by one (ptrace), so that any of
//! them can be answered by an error without being made.
//!
//! The thread raises [`MARK`] where calls are to be looked at, and where that is to end: the signal
//! stops it and is never delivered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

const MARK: Signal = Signal::SIGUSR1;

/// Calls that never fail here, and why.
const LEFT_OUT: &[(&str, &[c_long])] = &[
    (
        "memory: without it the process ends",
        &[
            libc::SYS_brk,
            libc::SYS_munmap,
            libc::SYS_mprotect,
            libc::SYS_mremap,
            libc::SYS_madvise,
        ],
    ),
    (
        "the fd is free whatever the answer is: a failure made up would be a leak made up",
        &[libc::SYS_close],
    ),
    (
        "threads, locks and signals of the standard library, the marks among them",
        &[
            libc::SYS_futex,
            libc::SYS_sched_yield,
            libc::SYS_sched_getaffinity,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_gettid,
            libc::SYS_getpid,
            libc::SYS_tgkill,
            libc::SYS_clock_nanosleep,
            libc::SYS_restart_syscall,
        ],
    ),
    (
        "keys of hash tables, for which the standard library takes no refusal",
        &[libc::SYS_getrandom],
    ),
];

macro_rules! names {
    ($($number:ident $name:ident $of:expr;)*) => {
        /// Names of calls, and what tells calls of that name apart.
        const NAMES: &[(c_long, &str, Of)] = &[
            $((libc::$number, stringify!($name), $of),)*
        ];
    };
}

/// Which arguments of a call say what it is about.
enum Of {
    Nothing,
    Bpf,
    Path(usize),
    File,
    /// A path, or the fd before it where that is empty.
    PathOrFile,
    Mapped,
    Request,
}

names! {
    SYS_access access Of::Path(0);
    SYS_bind bind Of::File;
    SYS_bpf bpf Of::Bpf;
    SYS_clone3 clone3 Of::Nothing;
    SYS_dup dup Of::File;
    SYS_dup3 dup3 Of::File;
    SYS_epoll_create1 epoll_create1 Of::Nothing;
    SYS_epoll_ctl epoll_ctl Of::Nothing;
    SYS_eventfd2 eventfd2 Of::Nothing;
    SYS_faccessat faccessat Of::Path(1);
    SYS_faccessat2 faccessat2 Of::Path(1);
    SYS_fcntl fcntl Of::Request;
    SYS_fstat fstat Of::File;
    SYS_fstatfs fstatfs Of::File;
    SYS_getdents64 getdents64 Of::File;
    SYS_getsockname getsockname Of::File;
    SYS_getsockopt getsockopt Of::File;
    SYS_ioctl ioctl Of::Request;
    SYS_lseek lseek Of::File;
    SYS_mkdir mkdir Of::Path(0);
    SYS_mkdirat mkdirat Of::Path(1);
    SYS_mmap mmap Of::Mapped;
    SYS_mount mount Of::Path(1);
    SYS_newfstatat newfstatat Of::PathOrFile;
    SYS_open open Of::Path(0);
    SYS_openat openat Of::Path(1);
    SYS_perf_event_open perf_event_open Of::Nothing;
    SYS_poll poll Of::Nothing;
    SYS_pread64 pread64 Of::File;
    SYS_prlimit64 prlimit64 Of::Nothing;
    SYS_read read Of::File;
    SYS_readlink readlink Of::Path(0);
    SYS_readlinkat readlinkat Of::Path(1);
    SYS_recvfrom recvfrom Of::File;
    SYS_recvmsg recvmsg Of::File;
    SYS_rename rename Of::Path(0);
    SYS_renameat2 renameat2 Of::Path(1);
    SYS_rmdir rmdir Of::Path(0);
    SYS_sendmsg sendmsg Of::File;
    SYS_sendto sendto Of::File;
    SYS_setsockopt setsockopt Of::File;
    SYS_socket socket Of::Nothing;
    SYS_stat stat Of::Path(0);
    SYS_statfs statfs Of::Path(0);
    SYS_statx statx Of::PathOrFile;
    SYS_umount2 umount2 Of::Path(0);
    SYS_uname uname Of::Nothing;
    SYS_unlink unlink Of::Path(0);
    SYS_unlinkat unlinkat Of::Path(1);
    SYS_write write Of::File;
}

/// Commands of `bpf(2)` by number, with the place of a name, of the address of a path or of an fd among
/// their attributes.
const COMMANDS: &[(&str, About)] = &[
    ("MAP_CREATE", About::Name(28)),
    ("MAP_LOOKUP_ELEM", About::Nothing),
    ("MAP_UPDATE_ELEM", About::Nothing),
    ("MAP_DELETE_ELEM", About::Nothing),
    ("MAP_GET_NEXT_KEY", About::Nothing),
    ("PROG_LOAD", About::Name(48)),
    ("OBJ_PIN", About::Path(0)),
    ("OBJ_GET", About::Path(0)),
    ("PROG_ATTACH", About::Nothing),
    ("PROG_DETACH", About::Nothing),
    ("PROG_TEST_RUN", About::Nothing),
    ("PROG_GET_NEXT_ID", About::Nothing),
    ("MAP_GET_NEXT_ID", About::Nothing),
    ("PROG_GET_FD_BY_ID", About::Nothing),
    ("MAP_GET_FD_BY_ID", About::Nothing),
    ("OBJ_GET_INFO_BY_FD", About::File(0)),
    ("PROG_QUERY", About::Nothing),
    ("RAW_TRACEPOINT_OPEN", About::Nothing),
    ("BTF_LOAD", About::Nothing),
    ("BTF_GET_FD_BY_ID", About::Nothing),
    ("TASK_FD_QUERY", About::Nothing),
    ("MAP_LOOKUP_AND_DELETE_ELEM", About::Nothing),
    ("MAP_FREEZE", About::Nothing),
    ("BTF_GET_NEXT_ID", About::Nothing),
    ("MAP_LOOKUP_BATCH", About::Nothing),
    ("MAP_LOOKUP_AND_DELETE_BATCH", About::Nothing),
    ("MAP_UPDATE_BATCH", About::Nothing),
    ("MAP_DELETE_BATCH", About::Nothing),
    ("LINK_CREATE", About::File(4)),
    ("LINK_UPDATE", About::Nothing),
    ("LINK_GET_FD_BY_ID", About::Nothing),
    ("LINK_GET_NEXT_ID", About::Nothing),
    ("ENABLE_STATS", About::Nothing),
    ("ITER_CREATE", About::Nothing),
    ("LINK_DETACH", About::Nothing),
    ("PROG_BIND_MAP", About::Nothing),
    ("TOKEN_CREATE", About::Nothing),
];

/// What tells calls of a command apart.
#[derive(Clone, Copy)]
enum About {
    Nothing,
    Name(u64),
    Path(u64),
    File(u64),
}

/// A system call that is about to be made.
pub(crate) struct Call<'a> {
    number: c_long,
    arguments: [u64; 6],
    thread: Pid,
    memory: &'a File,
}

impl Call<'_> {
    /// Whether it may fail here. Memory of no file is no more than the heap.
    fn may_fail(&self) -> bool {
        const ANONYMOUS: u64 = libc::MAP_ANONYMOUS as u64;
        const GETFD: u64 = libc::F_GETFD as u64;
        let is_heap = self.number == libc::SYS_mmap && self.arguments[3] & ANONYMOUS != 0;
        // What the standard library asks before it closes, where it is built to check itself.
        let is_check = self.number == libc::SYS_fcntl && self.arguments[1] == GETFD;
        let mut rows = LEFT_OUT.iter();
        !is_heap && !is_check && !rows.any(|(_, numbers)| numbers.contains(&self.number))
    }

    /// The name, and what it is about: the command of `bpf(2)`, the request, the path.
    pub(crate) fn describe(&self) -> String {
        let row = NAMES.iter().find(|row| row.0 == self.number);
        let Some((_, name, about)) = row else {
            return format!("call {}", self.number);
        };
        let arguments = &self.arguments;
        match about {
            Of::Bpf => self.describe_bpf(),
            Of::Nothing => (*name).to_owned(),
            Of::Path(path) => format!("{name} {}", self.text(arguments[*path], 256)),
            Of::PathOrFile => match self.text(arguments[1], 256) {
                path if path.is_empty() => format!("{name} {}", self.file(arguments[0])),
                path => format!("{name} {path}"),
            },
            Of::File => format!("{name} {}", self.file(arguments[0])),
            Of::Mapped => format!("{name} {}", self.file(arguments[4])),
            Of::Request => format!("{name} {:#x}", arguments[1]),
        }
    }

    fn describe_bpf(&self) -> String {
        // Above the command there may be the mark of attributes that all commands have.
        let command = self.arguments[0] & 0xffff;
        let row = usize::try_from(command)
            .ok()
            .and_then(|it| COMMANDS.get(it));
        match row {
            None => format!("bpf {command}"),
            Some((name, About::Nothing)) => format!("bpf {name}"),
            Some((name, About::Name(at))) => {
                format!("bpf {name} `{}`", self.text(self.arguments[1] + at, 16))
            }
            Some((name, About::Path(at))) => {
                let address = u64::from_ne_bytes(self.bytes(self.arguments[1] + at));
                format!("bpf {name} {}", self.text(address, 256))
            }
            Some((name, About::File(at))) => {
                let fd = u32::from_ne_bytes(self.bytes(self.arguments[1] + at));
                format!("bpf {name} {}", self.file(fd.into()))
            }
        }
    }

    /// What an fd is of, without the numbers of sockets and pipes.
    fn file(&self, fd: u64) -> String {
        let Ok(target) = std::fs::read_link(format!("/proc/{}/fd/{fd}", self.thread)) else {
            return "no fd".to_owned();
        };
        let target = target.to_string_lossy().into_owned();
        match target.split_once(":[") {
            Some((kind, _)) => kind.to_owned(),
            None => target,
        }
    }

    fn bytes<const SIZE: usize>(&self, address: u64) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        self.memory.read_exact_at(&mut bytes, address).unwrap();
        bytes
    }

    /// The string there, at most so long.
    fn text(&self, address: u64, most: usize) -> String {
        let mut bytes = vec![0; most];
        let read = self.memory.read_at(&mut bytes, address).unwrap_or(0);
        let end = bytes[..read].iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&bytes[..end.unwrap_or(read)]).into_owned()
    }
}

/// Lets the thread that started this process look at the calls of this thread.
pub(crate) fn submit() {
    ptrace::traceme().unwrap();
}

/// Where looking at calls begins or ends.
pub(crate) fn mark() {
    raise(MARK).unwrap();
}

/// A thread that submitted to the one that holds this, and is at a mark.
pub(crate) struct Traced {
    thread: Pid,
    memory: File,
}

impl Traced {
    /// Waits for the first mark; `None` if the thread is gone.
    pub(crate) fn first(thread: Pid) -> Option<Self> {
        let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
        let this = Self { thread, memory };
        while !this.is_at_mark()? {
            ptrace::cont(thread, None).ok()?;
        }
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(thread, options).ok()?;
        Some(this)
    }

    fn is_at_mark(&self) -> Option<bool> {
        let status = waitpid(self.thread, Some(WaitPidFlag::__WALL)).ok()?;
        match status {
            WaitStatus::Stopped(_, signal) => Some(signal == MARK),
            _ => None,
        }
    }

    /// Waits until the thread is gone: before that, its process is not.
    pub(crate) fn wait_for_its_end(&self) {
        let is_gone = |status| matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
        while waitpid(self.thread, Some(WaitPidFlag::__WALL)).is_ok_and(|status| !is_gone(status)) {
        }
    }

    /// Goes on to the next mark; `None` if the thread ends before.
    pub(crate) fn pass(&self) -> Option<()> {
        self.watch(|_| Some(None)).map(drop)
    }

    /// Goes on to the next mark and shows `judge` every call that may fail, until it gives one an error
    /// to be answered by (`Some(None)`: looks no more); `None` if the thread ends before.
    pub(crate) fn watch(
        &self,
        mut judge: impl FnMut(&Call<'_>) -> Option<Option<Errno>>,
    ) -> Option<()> {
        let (mut is_entry, mut is_watching) = (true, true);
        let mut answer = None;
        let mut signal = None;
        loop {
            match is_watching {
                true => ptrace::syscall(self.thread, signal.take()).ok()?,
                false => ptrace::cont(self.thread, signal.take()).ok()?,
            }
            match waitpid(self.thread, Some(WaitPidFlag::__WALL)).ok()? {
                WaitStatus::Stopped(_, MARK) => return Some(()),
                WaitStatus::Stopped(_, other) => signal = Some(other),
                WaitStatus::PtraceSyscall(_) if is_entry => {
                    is_entry = false;
                    let mut registers = ptrace::getregs(self.thread).ok()?;
                    let call = Call {
                        number: i64::from_ne_bytes(registers.orig_rax.to_ne_bytes()),
                        arguments: [
                            registers.rdi,
                            registers.rsi,
                            registers.rdx,
                            registers.r10,
                            registers.r8,
                            registers.r9,
                        ],
                        thread: self.thread,
                        memory: &self.memory,
                    };
                    if !call.may_fail() {
                        continue;
                    }
                    match judge(&call) {
                        None => {}
                        Some(None) => is_watching = false,
                        Some(error) => {
                            answer = error;
                            // A call of this number is none, and not made.
                            registers.orig_rax = u64::MAX;
                            ptrace::setregs(self.thread, registers).ok()?;
                        }
                    }
                }
                WaitStatus::PtraceSyscall(_) => {
                    is_entry = true;
                    if let Some(error) = answer.take() {
                        let mut registers = ptrace::getregs(self.thread).ok()?;
                        registers.rax = i64::from(-(error as i32)).cast_unsigned();
                        ptrace::setregs(self.thread, registers).ok()?;
                        is_watching = false;
                    }
                }
                _ => return None,
            }
        }
    }
}
