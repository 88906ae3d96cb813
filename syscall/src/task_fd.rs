//! What the fds of processes have to do with programs.

use crate::call::{Command, address_mut, bpf, length};
use crate::{CallError, attr};

/// The program behind an fd of a process, and what it is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskFdInfo {
    /// Id of the program.
    pub program_id: u32,
    /// `enum bpf_task_fd_type`.
    pub fd_type: u32,
    /// A tracepoint, a function of the kernel, or the path of a binary; empty if it is an address.
    pub name: Vec<u8>,
    /// Offset in the function or binary.
    pub offset: u64,
    /// Address in the kernel, if it tells.
    pub address: u64,
}

/// Asks what a perf event or raw tracepoint of a process has to do with programs
/// (`BPF_TASK_FD_QUERY`, 4.18).
///
/// # Errors
/// `ENOENT` for an event without a program, `EOPNOTSUPP` for one that is not at a place, `ENOTSUPP`
/// for any other fd, and what else the kernel says.
pub fn task_fd_query(pid: u32, fd: u32) -> Result<TaskFdInfo, CallError> {
    /// A path is the longest name (`PATH_MAX`).
    const ROOM: usize = 4096;
    let command = Command::TASK_FD_QUERY;
    let mut name = vec![0; ROOM];
    let mut attr = attr::TaskFdQuery {
        pid,
        fd,
        buf_len: length(command, &name)?,
        buf: address_mut(&mut name),
        ..Default::default()
    };
    // SAFETY: the buffer is as long as said.
    unsafe { bpf(command, &mut attr) }?;
    let end = name.iter().position(|byte| *byte == 0);
    name.truncate(end.unwrap_or(ROOM));
    Ok(TaskFdInfo {
        program_id: attr.prog_id,
        fd_type: attr.fd_type,
        name,
        offset: attr.probe_offset,
        address: attr.probe_addr,
    })
}
