//! Perf events: `perf_event_open(2)` and its ioctls.
//!
//! # Safety
//! The attribute block holds an address only for a probe, of a string that ends with a zero and
//! lives across the call.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use libc::c_long;

use crate::CallError;
use crate::call::own;
use crate::shared::shared;

/// `PERF_TYPE_TRACEPOINT`
const TYPE_TRACEPOINT: u32 = 2;
/// `PERF_FLAG_FD_CLOEXEC`
const FLAG_CLOEXEC: c_long = 8;

shared! {
    /// `struct perf_event_attr` up to what is used here; the kernel takes the rest for zero.
    Attr = "perf_event_attr", 72 {
        0 r#type: u32,
        4 size: u32,
        8 config: u64,
        16 sample_period: u64,
        24 sample_type: u64,
        32 read_format: u64,
        40 bits: u64,
        48 wakeup_events: u32,
        52 bp_type: u32,
        56 config1: u64,
        64 config2: u64,
    }
}

/// The first of the bit-fields is number 0.
pub(crate) const FREQ: u32 = 10;
pub(crate) const WATERMARK: u32 = 14;

/// A bit-field of one bit, by its number.
const fn bit(number: u32) -> u64 {
    if cfg!(target_endian = "little") {
        1 << number
    } else {
        1 << (63 - number)
    }
}

/// What a perf event is of.
#[derive(Clone, Copy, Debug)]
pub enum PerfKind<'a> {
    /// A tracepoint by the number in its `id` file.
    Tracepoint(u64),
    /// An event by type and config: `PERF_TYPE_SOFTWARE` 1, `PERF_TYPE_HARDWARE` 0, ...
    Event {
        /// Type.
        event_type: u32,
        /// Which event of the type.
        config: u64,
    },
    /// A probe of the kprobe or uprobe unit (4.17).
    Probe {
        /// The number in the unit's `type` file.
        unit: u32,
        /// The return bit, and the semaphore's offset in the upper half.
        config: u64,
        /// Function or binary; none for an address.
        name: Option<&'a CStr>,
        /// Offset from the function, offset in the binary, or address, bytes.
        offset: u64,
    },
}

/// How often an event is sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// It is not.
    #[default]
    None,
    /// Once in so many events (nanoseconds, for a clock).
    Period(u64),
    /// So many times a second.
    Frequency(u64),
}

/// When the reader of an event's records is woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wakeup {
    /// When half of the buffer is full, and no sooner.
    #[default]
    Half,
    /// After so many records; 0 is as [`Self::Half`].
    Records(u32),
    /// After so many bytes of them.
    Bytes(u32),
}

/// What `perf_event_open` is called with.
#[derive(Clone, Copy, Debug)]
pub struct PerfEventOpen<'a> {
    /// The event.
    pub kind: PerfKind<'a>,
    /// How often.
    pub sampling: Sampling,
    /// `PERF_SAMPLE_*`: what a record holds.
    pub sample_type: u64,
    /// When its reader is woken.
    pub wakeup: Wakeup,
    /// In which process: `None` is any, 0 this one.
    pub pid: Option<u32>,
    /// On which CPU: `None` is any, which needs a process.
    pub cpu: Option<u32>,
}

/// Opens a perf event, which counts nothing before it is enabled, if it is of a kind with a BPF
/// program.
///
/// # Errors
/// `EACCES` as `kernel.perf_event_paranoid` says, `ENOENT` for a function or an event that there is
/// none of, and what the kernel says.
pub fn perf_event_open(params: &PerfEventOpen<'_>) -> Result<OwnedFd, CallError> {
    const CALL: &str = "perf_event_open";
    let mut attr = Attr {
        size: size_of::<Attr>() as u32,
        sample_type: params.sample_type,
        ..Default::default()
    };
    match params.wakeup {
        Wakeup::Half => {}
        Wakeup::Records(records) => attr.wakeup_events = records,
        Wakeup::Bytes(bytes) => {
            attr.wakeup_events = bytes;
            attr.bits |= bit(WATERMARK);
        }
    }
    match params.sampling {
        Sampling::None => {}
        Sampling::Period(period) => attr.sample_period = period,
        Sampling::Frequency(frequency) => {
            attr.sample_period = frequency;
            attr.bits |= bit(FREQ);
        }
    }
    match params.kind {
        PerfKind::Tracepoint(id) => {
            attr.r#type = TYPE_TRACEPOINT;
            attr.config = id;
        }
        PerfKind::Event { event_type, config } => {
            attr.r#type = event_type;
            attr.config = config;
        }
        PerfKind::Probe {
            unit,
            config,
            name,
            offset,
        } => {
            attr.r#type = unit;
            attr.config = config;
            attr.config1 = name.map_or(0, |name| name.as_ptr().expose_provenance() as u64);
            attr.config2 = offset;
        }
    }
    let number = |value: Option<u32>| -> c_long {
        value.map_or(-1, |value: u32| value.cast_signed().into())
    };
    let attr: *const Attr = &raw const attr;
    // SAFETY: `attr` is valid for the size written in it; the string behind `config1` ends with a
    // zero.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attr,
            number(params.pid),
            number(params.cpu),
            c_long::from(-1_i32),
            FLAG_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(CallError::last(CALL));
    }
    // SAFETY: the call has just made this fd.
    unsafe { own(CALL, fd) }
}

/// What type it has depends on the C library.
type Request = nix::sys::ioctl::ioctl_num_type;

const ENABLE: Request = nix::request_code_none!(b'$', 0);
const DISABLE: Request = nix::request_code_none!(b'$', 1);
const SET_BPF: Request = nix::request_code_write!(b'$', 8, 4);

/// Lets an event count and run its program (`PERF_EVENT_IOC_ENABLE`).
///
/// # Errors
/// What the kernel says.
pub fn perf_event_enable(event: BorrowedFd<'_>) -> Result<(), CallError> {
    ioctl("PERF_EVENT_IOC_ENABLE", event, ENABLE, 0)
}

/// Stops an event, and with it its program (`PERF_EVENT_IOC_DISABLE`).
///
/// # Errors
/// What the kernel says.
pub fn perf_event_disable(event: BorrowedFd<'_>) -> Result<(), CallError> {
    ioctl("PERF_EVENT_IOC_DISABLE", event, DISABLE, 0)
}

/// Gives an event its program, until it is closed (`PERF_EVENT_IOC_SET_BPF`, 4.1).
///
/// # Errors
/// `EEXIST` for an event that has one, `EPROTO` for a program that takes stacks of an event that is
/// opened without, and what the kernel says.
pub fn perf_event_set_bpf(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), CallError> {
    ioctl(
        "PERF_EVENT_IOC_SET_BPF",
        event,
        SET_BPF,
        program.as_raw_fd(),
    )
}

fn ioctl(
    call: &'static str,
    event: BorrowedFd<'_>,
    request: Request,
    argument: i32,
) -> Result<(), CallError> {
    // SAFETY: these requests take a number, no address.
    match unsafe { libc::ioctl(event.as_raw_fd(), request, c_long::from(argument)) } {
        -1 => Err(CallError::last(call)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_kernels() {
        // The numbers of `include/uapi/asm-generic/ioctl.h`, which most machines have.
        if cfg!(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64"
        )) {
            assert_eq!((ENABLE, DISABLE, SET_BPF), (0x2400, 0x2401, 0x4004_2408));
        }
    }

    #[test]
    fn an_unknown_event_is_refused() {
        let error = perf_event_open(&PerfEventOpen {
            kind: PerfKind::Event {
                event_type: u32::MAX,
                config: u64::MAX,
            },
            sampling: Sampling::Period(1),
            sample_type: 0,
            wakeup: Wakeup::Half,
            pid: Some(0),
            cpu: None,
        })
        .unwrap_err();
        assert_eq!(error.call(), "perf_event_open");
    }
}
