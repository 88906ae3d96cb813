//! Programs: load, run once, attach to what has no links.

use std::borrow::Cow;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use purebpf_insn::{AttachType, Insn, ProgramFlags, ProgramType};

use crate::call::{Command, address, address_mut, bpf, bpf_fd, length, object_name, raw};
use crate::log::{Log, logged};
use crate::{CallError, attr, host};

/// Records of one kind of `.BTF.ext`, as the kernel takes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Records<'a> {
    /// The records, one after the other.
    pub bytes: &'a [u8],
    /// Bytes of one record.
    pub record_size: u32,
}

/// What a program is loaded with (`BPF_PROG_LOAD`); zero or `None` is the kernel's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProgLoad<'a> {
    /// Type.
    pub program_type: ProgramType,
    /// How it will be attached (4.17); required for some types.
    pub expected_attach_type: AttachType,
    /// Name; the kernel keeps 15 bytes (4.15). Empty for none.
    pub name: &'a str,
    /// License; decides which helpers may be called.
    pub license: &'a CStr,
    /// Instructions, at most 4096 without privileges, a million with.
    pub instructions: &'a [Insn],
    /// Flags. [`ProgramFlags::TOKEN_FD`] is set as `token` says.
    pub flags: ProgramFlags,
    /// Kernel version, for kprobes before 5.0.
    pub kernel_version: u32,
    /// Network device to offload to, by index (4.15).
    pub ifindex: u32,
    /// BTF of the program (5.0).
    pub btf: Option<BorrowedFd<'a>>,
    /// Functions (5.0).
    pub func_info: Records<'a>,
    /// Source lines (5.0).
    pub line_info: Records<'a>,
    /// Type id of the function, typedef or struct to attach to (5.5).
    pub attach_btf_id: u32,
    /// The program, or the BTF of the module, that the previous id is from; the kernel's own BTF
    /// without it (5.5, modules 5.11).
    pub attach_to: Option<BorrowedFd<'a>>,
    /// What instructions with an index refer to; `None` is the kernel's own BTF (5.14).
    pub fd_array: &'a [Option<BorrowedFd<'a>>],
    /// Tell the kernel the length of `fd_array`, so that it binds all of it to the program (6.14).
    pub fd_array_bound: bool,
    /// Token that allows the call (6.9).
    pub token: Option<BorrowedFd<'a>>,
    /// Signature of the instructions, PKCS#7 (6.18); empty for none.
    pub signature: &'a [u8],
    /// The keyring that the signature's key is in: 0 that of the system, 1 and 2 secondary and
    /// platform, or the number of one.
    pub keyring_id: i32,
}

/// Loads a program (`BPF_PROG_LOAD`).
///
/// # Errors
/// `EACCES` or `EINVAL` from the verifier, whose reason is in the log, `ENOSPC` for a log buffer
/// that was too small, and what the kernel says.
pub fn prog_load(params: &ProgLoad<'_>, log: Option<&mut Log<'_>>) -> Result<OwnedFd, CallError> {
    let command = Command::PROG_LOAD;
    let fds: Vec<i32> = params.fd_array.iter().map(|fd| raw(*fd)).collect();
    let mut flags = params.flags;
    flags.set(ProgramFlags::TOKEN_FD, params.token.is_some());
    let attr = attr::ProgLoad {
        prog_type: params.program_type.0,
        insn_cnt: length(command, params.instructions)?,
        insns: address(params.instructions),
        license: params.license.as_ptr().expose_provenance() as u64,
        kern_version: params.kernel_version,
        prog_flags: flags.bits(),
        prog_name: object_name(params.name),
        prog_ifindex: params.ifindex,
        expected_attach_type: params.expected_attach_type.0,
        prog_btf_fd: raw(params.btf),
        func_info_rec_size: params.func_info.record_size,
        func_info: address(params.func_info.bytes),
        func_info_cnt: count(params.func_info)?,
        line_info_rec_size: params.line_info.record_size,
        line_info: address(params.line_info.bytes),
        line_info_cnt: count(params.line_info)?,
        attach_btf_id: params.attach_btf_id,
        attach_prog_fd: raw(params.attach_to),
        fd_array: address(&fds),
        prog_token_fd: raw(params.token),
        signature: address(params.signature),
        signature_size: length(command, params.signature)?,
        keyring_id: params.keyring_id,
        fd_array_cnt: if params.fd_array_bound {
            length(command, &fds)?
        } else {
            0
        },
        ..Default::default()
    };
    logged(log, |log| load_once(params, attr, log))
}

/// One load, repeated when an older kernel has shorter `.BTF.ext` records: it then says so by
/// writing its own record size over ours, and takes longer ones if the rest of each is zero.
fn load_once(
    params: &ProgLoad<'_>,
    template: attr::ProgLoad,
    mut log: Option<&mut Log<'_>>,
) -> Result<OwnedFd, CallError> {
    let command = Command::PROG_LOAD;
    let mut func_info = Cow::Borrowed(params.func_info.bytes);
    let mut line_info = Cow::Borrowed(params.line_info.bytes);
    loop {
        let mut attr = attr::ProgLoad {
            func_info: address(&func_info),
            line_info: address(&line_info),
            ..template
        };
        if let Some(log) = log.as_deref_mut() {
            attr.log_level = log.level;
            attr.log_size = length(command, log.buffer)?;
            attr.log_buf = address_mut(log.buffer);
        }
        // SAFETY: instructions, records, fds, signature and log come with their lengths, the license ends
        // with a zero; fd_array is read at indices that instructions give, which a wrong index
        // makes the kernel refuse or read another number, but never write. It returns an fd.
        let result = unsafe { bpf_fd(command, &mut attr) };
        if let Some(log) = log.as_deref_mut() {
            log.true_size = attr.log_true_size;
        }
        let again = matches!(&result, Err(error) if error.errno() == Errno::E2BIG)
            && (cut(&mut func_info, params.func_info, attr.func_info_rec_size)
                || cut(&mut line_info, params.line_info, attr.line_info_rec_size));
        if !again {
            return result;
        }
    }
}

/// Zeroes what is beyond the first `keep` bytes of each record; whether that was to be done.
fn cut(bytes: &mut Cow<'_, [u8]>, records: Records<'_>, keep: u32) -> bool {
    let cut = keep != 0 && keep < records.record_size && matches!(bytes, Cow::Borrowed(_));
    if cut {
        for record in bytes.to_mut().chunks_mut(records.record_size as usize) {
            if let Some(tail) = record.get_mut(keep as usize..) {
                tail.fill(0);
            }
        }
    }
    cut
}

fn count(records: Records<'_>) -> Result<u32, CallError> {
    let size = records.record_size as usize;
    u32::try_from(records.bytes.len().checked_div(size).unwrap_or(0))
        .map_err(|_| CallError::new(Command::PROG_LOAD.name, Errno::E2BIG))
}

/// What a program is run with (`BPF_PROG_TEST_RUN`); an empty slice is "not given".
#[derive(Debug, Default)]
pub struct TestRun<'a> {
    /// Packet, or other data.
    pub data_in: &'a [u8],
    /// Room for the data afterwards (5.0 or later).
    pub data_out: &'a mut [u8],
    /// Context. Programs of type `SYSCALL` write into it.
    pub ctx_in: &'a mut [u8],
    /// Room for the context afterwards.
    pub ctx_out: &'a mut [u8],
    /// Runs; 0 is 1.
    pub repeat: u32,
    /// `BPF_F_TEST_*`: 1 on the CPU given, 2 send XDP frames for real, 4 check the checksum.
    pub flags: u32,
    /// CPU to run on, with flag 1.
    pub cpu: u32,
    /// Frames a batch, with flag 2; 0 is 64.
    pub batch_size: u32,
}

/// What came out of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestRunOutcome {
    /// What the program returned.
    pub retval: u32,
    /// Mean time of a run.
    pub duration: Duration,
    /// Bytes of data that the program left, perhaps more than there was room for.
    pub data_size: u32,
    /// Bytes of context that the program left.
    pub ctx_size: u32,
    /// The data did not fit and was cut.
    pub truncated: bool,
}

/// Runs a program on given data (`BPF_PROG_TEST_RUN`, 4.12).
///
/// # Errors
/// `ENOTSUPP` for a program type that cannot be run so, `EOPNOTSUPP` for data out before 5.0 (those
/// kernels do not heed the room there is), and what the kernel says.
pub fn prog_test_run(
    program: BorrowedFd<'_>,
    params: &mut TestRun<'_>,
) -> Result<TestRunOutcome, CallError> {
    let command = Command::PROG_TEST_RUN;
    if !params.data_out.is_empty() && host::release()? < (5, 0, 0) {
        return Err(CallError::new(command.name, Errno::EOPNOTSUPP));
    }
    let mut attr = attr::TestRun {
        prog_fd: program.as_raw_fd(),
        data_size_in: length(command, params.data_in)?,
        data_size_out: length(command, params.data_out)?,
        data_in: address(params.data_in),
        data_out: address_mut(params.data_out),
        repeat: params.repeat,
        ctx_size_in: length(command, params.ctx_in)?,
        ctx_size_out: length(command, params.ctx_out)?,
        ctx_in: address_mut(params.ctx_in),
        ctx_out: address_mut(params.ctx_out),
        flags: params.flags,
        cpu: params.cpu,
        batch_size: params.batch_size,
        ..Default::default()
    };
    // SAFETY: each of the four slices comes with its length, and those that the kernel may write
    // are borrowed for that; a size of 0 comes with a null address,
    // which keeps the kernel from taking "0" for "no limit".
    let result = unsafe { bpf(command, &mut attr) };
    let truncated = match result {
        Ok(_) => false,
        Err(error) if error.errno() == Errno::ENOSPC && !params.data_out.is_empty() => true,
        Err(error) => return Err(error),
    };
    Ok(TestRunOutcome {
        retval: attr.retval,
        duration: Duration::from_nanos(attr.duration.into()),
        data_size: attr.data_size_out,
        ctx_size: attr.ctx_size_out,
        truncated,
    })
}

/// Makes a program keep a map alive that it does not use (`BPF_PROG_BIND_MAP`, 5.10).
///
/// # Errors
/// What the kernel says.
pub fn prog_bind_map(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> Result<(), CallError> {
    let mut attr = attr::ProgBindMap {
        prog_fd: program.as_raw_fd(),
        map_fd: map.as_raw_fd(),
        flags: 0,
    };
    // SAFETY: the attribute holds no address.
    unsafe { bpf(Command::PROG_BIND_MAP, &mut attr) }.map(drop)
}

/// Names the struct_ops map whose functions a program may call (`BPF_PROG_ASSOC_STRUCT_OPS`).
///
/// # Errors
/// What the kernel says.
pub fn prog_assoc_struct_ops(
    program: BorrowedFd<'_>,
    map: BorrowedFd<'_>,
) -> Result<(), CallError> {
    let mut attr = attr::ProgAssocStructOps {
        map_fd: map.as_raw_fd(),
        prog_fd: program.as_raw_fd(),
        flags: 0,
    };
    // SAFETY: the attribute holds no address.
    unsafe { bpf(Command::PROG_ASSOC_STRUCT_OPS, &mut attr) }.map(drop)
}

/// Reads what a program printed to its stream 1 (output) or 2 (errors); returns the bytes read
/// (`BPF_PROG_STREAM_READ_BY_FD`, 6.17).
///
/// # Errors
/// What the kernel says.
pub fn prog_stream_read(
    program: BorrowedFd<'_>,
    stream: u32,
    buffer: &mut [u8],
) -> Result<usize, CallError> {
    let command = Command::PROG_STREAM_READ_BY_FD;
    let mut attr = attr::ProgStreamRead {
        stream_buf: address_mut(buffer),
        stream_buf_len: length(command, buffer)?,
        stream_id: stream,
        prog_fd: program.as_raw_fd(),
        pad: 0,
    };
    // SAFETY: the buffer comes with its length.
    let read = unsafe { bpf(command, &mut attr) }?;
    Ok(usize::try_from(read).unwrap_or(0).min(buffer.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_once() {
        let records = Records {
            bytes: &[1, 2, 3, 4, 5, 6, 7, 8],
            record_size: 4,
        };
        let mut bytes = Cow::Borrowed(records.bytes);
        assert!(!cut(&mut bytes, records, 4));
        assert!(cut(&mut bytes, records, 3));
        assert_eq!(*bytes, [1, 2, 3, 0, 5, 6, 7, 0]);
        assert!(!cut(&mut bytes, records, 2));
    }
}
