//! Attaching through a perf event: a link on it (5.15), or the program given to it by ioctl.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use purebpf_insn::{AttachType, ProgramType};
use purebpf_syscall::perf::{
    PerfEventOpen, PerfKind, Sampling, Wakeup, perf_event_enable, perf_event_open,
    perf_event_set_bpf,
};
use purebpf_syscall::{AttachPoint, Errno, LinkCreate, LinkOptions, link_create};

use crate::link::{Event, LegacyProbe, ProbeUnit};
use crate::{Error, Link, Program};

/// How a kprobe or uprobe is made.
#[doc(alias = "probe_attach_mode")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProbeMode {
    /// The latest way that the kernel has.
    #[default]
    Auto,
    /// By name in tracefs.
    Legacy,
    /// By a perf event that gets its program by ioctl (4.17).
    Perf,
    /// By a link on a perf event (5.15).
    Link,
}

/// What is done with a perf event once it is open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EventOptions {
    pub(super) cookie: u64,
    /// Without a link, even if the kernel has them.
    pub(super) by_ioctl: bool,
    /// The caller enables the event.
    pub(super) leave_disabled: bool,
}

/// An open event, and the probe in tracefs that it is of. The event goes first: a probe cannot be
/// removed while an event is on it.
pub(super) struct OpenEvent {
    pub(super) fd: OwnedFd,
    pub(super) probe: Option<LegacyProbe>,
}

/// Attaches a program to an event, which the link takes over.
pub(super) fn attach_event(
    program: &Program,
    event: OpenEvent,
    options: EventOptions,
) -> Result<Link, Error> {
    check_type(program)?;
    let link = match options.by_ioctl {
        true => None,
        false => link_on(program, &event.fd, options.cookie)?,
    };
    if link.is_none() {
        set_program(program, &event.fd, options.cookie)?;
    }
    if !options.leave_disabled {
        let failed = Error::call(program, "enable its perf event");
        perf_event_enable(event.fd.as_fd()).map_err(failed)?;
    }
    let OpenEvent { fd, probe } = event;
    let (fd, event) = match link {
        Some(link) => (link, Event::Under(fd)),
        None => (fd, Event::Itself),
    };
    Ok(Link::with_event(fd, event, probe, Some(program.clone())))
}

/// Refuses a program that cannot be on a perf event: the kernel's answer would be the same as that of
/// a kernel without links on perf events.
fn check_type(program: &Program) -> Result<(), Error> {
    match program.program_type() {
        ProgramType::KPROBE | ProgramType::TRACEPOINT | ProgramType::PERF_EVENT => Ok(()),
        other => Err(Error::mismatch(
            program,
            "its type",
            other,
            "kprobe, tracepoint or perf_event",
        )),
    }
}

/// A link on an event; `None` if the kernel has no such links.
fn link_on(program: &Program, event: &OwnedFd, cookie: u64) -> Result<Option<OwnedFd>, Error> {
    match create(program, AttachPoint::Fd(event.as_fd()), cookie) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.errno() == Errno::EINVAL && !has_links(program) => Ok(None),
        Err(error) => Err(event_error(program, error)),
    }
}

fn create(
    program: &Program,
    target: AttachPoint<'_>,
    cookie: u64,
) -> Result<OwnedFd, purebpf_syscall::CallError> {
    link_create(&LinkCreate {
        program: program.as_fd(),
        target,
        attach_type: AttachType::PERF_EVENT,
        flags: 0,
        options: LinkOptions::PerfEvent { cookie },
    })
}

/// Whether the kernel has links on perf events: asked for one on an fd that cannot be, it then
/// complains about the fd, and not about the request. `program` has passed [`check_type`].
pub(super) fn has_links(program: &Program) -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let no_fd = AttachPoint::Ifindex(u32::MAX);
        matches!(create(program, no_fd, 0), Err(error) if error.errno() == Errno::EBADF)
    })
}

fn set_program(program: &Program, event: &OwnedFd, cookie: u64) -> Result<(), Error> {
    if cookie != 0 {
        return Err(Error::unsupported(
            program,
            "cookie for a perf event without a link (5.15)",
        ));
    }
    perf_event_set_bpf(event.as_fd(), program.as_fd()).map_err(|error| event_error(program, error))
}

fn event_error(program: &Program, error: purebpf_syscall::CallError) -> Error {
    let operation = match error.errno() {
        // It reads stacks through the event, whose sample has none.
        Errno::EPROTO => "attach it to a perf event that is opened without PERF_SAMPLE_CALLCHAIN",
        _ => "attach it to a perf event",
    };
    Error::call(program, operation)(error)
}

/// A probe of the kernel or of a binary, ready to be made.
pub(super) struct Probe<'a> {
    pub(super) unit: ProbeUnit,
    pub(super) retprobe: bool,
    /// Function or path; none for an address in the kernel.
    pub(super) name: Option<&'a CStr>,
    /// Offset in it, or address, bytes.
    pub(super) offset: u64,
    /// Offset of a semaphore in the binary, bytes.
    pub(super) ref_ctr_offset: u64,
    /// Only in this process; 0 is this one.
    pub(super) pid: Option<u32>,
    pub(super) cookie: u64,
    pub(super) mode: ProbeMode,
    /// Part of the name of a legacy probe, and where it is.
    pub(super) legacy: (&'a str, &'a str),
}

impl Probe<'_> {
    pub(super) fn attach(&self, program: &Program) -> Result<Link, Error> {
        check_type(program)?;
        let unit = match self.mode {
            ProbeMode::Legacy => None,
            _ => unit_number(self.unit),
        };
        if unit.is_none() && matches!(self.mode, ProbeMode::Perf | ProbeMode::Link) {
            return Err(Error::unsupported(program, "perf event for probes (4.17)"));
        }
        if self.mode == ProbeMode::Link && !has_links(program) {
            return Err(Error::unsupported(program, "link on perf events (5.15)"));
        }
        let by_ioctl = matches!(self.mode, ProbeMode::Legacy | ProbeMode::Perf);
        let options = EventOptions {
            cookie: self.cookie,
            by_ioctl,
            leave_disabled: false,
        };
        let event = match unit {
            Some(unit) => OpenEvent {
                fd: self.open(program, unit)?,
                probe: None,
            },
            None => {
                let probe = self.create_legacy(program)?;
                let fd = self.event(program, PerfKind::Tracepoint(probe.id()?))?;
                OpenEvent {
                    fd,
                    probe: Some(probe),
                }
            }
        };
        attach_event(program, event, options)
    }

    fn open(&self, program: &Program, unit: u32) -> Result<OwnedFd, Error> {
        if self.ref_ctr_offset > u64::from(u32::MAX) {
            return Err(Error::invalid(
                program,
                "the semaphore's offset does not fit in 32 bits",
            ));
        }
        let retprobe = match self.retprobe {
            true => 1 << return_bit(self.unit)?,
            false => 0,
        };
        let config = retprobe | self.ref_ctr_offset << 32;
        self.event(
            program,
            PerfKind::Probe {
                unit,
                config,
                name: self.name,
                offset: self.offset,
            },
        )
    }

    fn event(&self, program: &Program, kind: PerfKind<'_>) -> Result<OwnedFd, Error> {
        perf_event_open(&PerfEventOpen {
            kind,
            sampling: Sampling::None,
            sample_type: 0,
            wakeup: Wakeup::Half,
            pid: self.pid,
            // Any process on one CPU is enough: the probe is hit wherever it is run into.
            cpu: if self.pid.is_some() { None } else { Some(0) },
        })
        .map_err(Error::call(
            format_args!("{program} at {}", self.legacy.1),
            "open a perf event for its probe",
        ))
    }

    fn create_legacy(&self, program: &Program) -> Result<LegacyProbe, Error> {
        if self.name.is_none() {
            return Err(Error::unsupported(program, "legacy probe at an address"));
        }
        if self.ref_ctr_offset != 0 {
            return Err(Error::unsupported(program, "legacy probe with a semaphore"));
        }
        let (label, place) = self.legacy;
        LegacyProbe::create(self.unit, self.retprobe, label, place)
    }
}

fn unit_file(unit: ProbeUnit, file: &str) -> PathBuf {
    format!("/sys/bus/event_source/devices/{}/{file}", unit.name()).into()
}

/// The type of the unit's perf events, if the kernel has the unit.
fn unit_number(unit: ProbeUnit) -> Option<u32> {
    std::fs::read_to_string(unit_file(unit, "type"))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The bit below 32 that a text such as `config:0` names.
pub fn config_bit(text: &str) -> Option<u32> {
    let bit = text.trim().strip_prefix("config:")?.parse().ok();
    bit.filter(|bit| *bit < 32)
}

/// The bit that makes a probe one at return, from a file such as `config:0`.
fn return_bit(unit: ProbeUnit) -> Result<u32, Error> {
    let file = unit_file(unit, "format/retprobe");
    let text = std::fs::read_to_string(&file).map_err(Error::file("read", &file))?;
    config_bit(&text).ok_or_else(|| {
        Error::mismatch(
            file.display(),
            "the format",
            text.trim(),
            "`config:` and a number",
        )
    })
}
