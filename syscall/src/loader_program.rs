//! Loader programs: run once, they leave maps and programs as fds in their context.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::call::{Command, address, address_mut, bpf, length, own};
use crate::{CallError, attr};

/// What a loader program is run with: its context, and what that is to refer to.
#[derive(Debug, Default)]
pub struct LoaderRun<'a> {
    /// The context. The program writes into it.
    pub context: &'a mut [u8],
    /// Where in the context the address of some bytes belongs, 8 bytes in the host's byte order.
    pub inputs: &'a [(usize, &'a [u8])],
    /// Where in the context the address of room for the kernel's log belongs, and the room.
    pub log: Option<(usize, &'a mut [u8])>,
    /// Where in the context the program leaves fds, 4 bytes each.
    pub fds: &'a [usize],
}

/// Runs a loader program (`BPF_PROG_TYPE_SYSCALL`, 5.14), and takes over the fds that it leaves in
/// its context.
///
/// # Errors
/// What the program returned, if negative, as the error of the call `loader program`; it has closed
/// what it opened then. `EBADF` if it left no fd where there should be one. And what the kernel says.
pub fn prog_run_loader(
    program: BorrowedFd<'_>,
    params: LoaderRun<'_>,
) -> Result<Vec<OwnedFd>, CallError> {
    const PROGRAM: &str = "loader program";
    const NONE: i32 = -1;
    let command = Command::PROG_TEST_RUN;
    let LoaderRun {
        context,
        inputs,
        log,
        fds,
    } = params;
    let outside = || CallError::new(PROGRAM, Errno::EINVAL);
    for (place, bytes) in inputs {
        write(context, *place, &address(bytes).to_ne_bytes()).ok_or_else(outside)?;
    }
    if let Some((place, room)) = log {
        write(context, place, &address_mut(room).to_ne_bytes()).ok_or_else(outside)?;
    }
    for place in fds {
        write(context, *place, &NONE.to_ne_bytes()).ok_or_else(outside)?;
    }
    let mut attr = attr::TestRun {
        prog_fd: program.as_raw_fd(),
        ctx_size_in: length(command, context)?,
        ctx_in: address_mut(context),
        ..Default::default()
    };
    // SAFETY: the context comes with its length, and the kernel may write it. The addresses in it
    // are of slices that outlive the call; how much is read and written there is up to the program,
    // which is as good as code of this process: it may also close any of its fds.
    unsafe { bpf(command, &mut attr) }?;
    let result = attr.retval.cast_signed();
    if result < 0 {
        return Err(CallError::from_raw(PROGRAM, result.saturating_neg()));
    }
    let mut seen = BTreeSet::new();
    let mut owned = Vec::with_capacity(fds.len());
    for place in fds {
        let fd = context.get(*place..).and_then(<[u8]>::first_chunk);
        let fd = fd.map_or(NONE, |fd| i32::from_ne_bytes(*fd));
        owned.push(if fd < 0 || !seen.insert(fd) {
            Err(CallError::new(PROGRAM, Errno::EBADF))
        } else {
            // SAFETY: there was none here before the run, and the program's part is to open one and
            // leave it; nobody else has been given it.
            unsafe { own(PROGRAM, fd.into()) }
        });
    }
    // All of them are owned before the first that is missing ends this.
    owned.into_iter().collect()
}

fn write(context: &mut [u8], place: usize, bytes: &[u8]) -> Option<()> {
    let end = place.checked_add(bytes.len())?;
    context.get_mut(place..end)?.copy_from_slice(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_place_outside_the_context_is_an_error_before_any_call() {
        let file = std::fs::File::open("/dev/null").unwrap();
        for places in [&[8usize][..], &[usize::MAX]] {
            let params = LoaderRun {
                context: &mut [0; 8],
                fds: places,
                ..LoaderRun::default()
            };
            let error = prog_run_loader(file.as_fd(), params).unwrap_err();
            assert_eq!(error.errno(), Errno::EINVAL);
            assert_eq!(error.call(), "loader program");
        }
    }
}
