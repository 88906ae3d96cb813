//! Perf events: timers, counters, whatever else `perf_event_open` knows.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use purebpf_syscall::duplicate;
use purebpf_syscall::perf::{PerfEventOpen, PerfKind, Sampling, Wakeup, perf_event_open};

use super::perf::{EventOptions, OpenEvent, attach_event};
use super::section;
use crate::{Error, Link, Program};

/// A perf event (4.9), for programs of type `perf_event`, and for tracing programs on an event that
/// was opened for them. One on every CPU takes one link for each.
#[doc(alias = "bpf_program__attach_perf_event_opts")]
#[derive(Clone, Debug)]
pub struct PerfEvent {
    source: Source,
    sampling: Sampling,
    pid: Option<u32>,
    cpu: Option<u32>,
    options: EventOptions,
}

#[derive(Clone, Debug)]
enum Source {
    Opened(Arc<OwnedFd>),
    Kind { event_type: u32, config: u64 },
}

impl PerfEvent {
    /// An event that is open; the link has an fd of its own.
    #[must_use]
    pub fn from_fd(event: OwnedFd) -> Self {
        Self::of(Source::Opened(Arc::new(event)))
    }

    /// A software event by its number in `enum perf_sw_ids`: 0 is the CPU clock (period in ns).
    #[must_use]
    pub fn software(config: u64) -> Self {
        Self::raw(1, config)
    }

    /// A hardware event by its number in `enum perf_hw_id`: 0 is CPU cycles.
    #[must_use]
    pub fn hardware(config: u64) -> Self {
        Self::raw(0, config)
    }

    /// An event by the type and config of `perf_event_attr`.
    #[must_use]
    pub fn raw(event_type: u32, config: u64) -> Self {
        Self::of(Source::Kind { event_type, config })
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            sampling: Sampling::None,
            pid: None,
            cpu: None,
            options: EventOptions::default(),
        }
    }

    /// The program runs once in so many events (nanoseconds, for a clock).
    #[must_use]
    pub const fn period(mut self, period: u64) -> Self {
        self.sampling = Sampling::Period(period);
        self
    }

    /// The program runs so many times a second.
    #[must_use]
    pub const fn frequency(mut self, frequency: u64) -> Self {
        self.sampling = Sampling::Frequency(frequency);
        self
    }

    /// In this process only; 0 is this one.
    #[must_use]
    pub const fn pid(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// On this CPU only; needed without a process.
    #[must_use]
    pub const fn cpu(mut self, cpu: u32) -> Self {
        self.cpu = Some(cpu);
        self
    }

    /// What `bpf_get_attach_cookie` returns in the program (5.15).
    #[must_use]
    pub const fn cookie(mut self, cookie: u64) -> Self {
        self.options.cookie = cookie;
        self
    }

    /// By ioctl, even if the kernel has links on perf events.
    #[must_use]
    pub const fn by_ioctl(mut self) -> Self {
        self.options.by_ioctl = true;
        self
    }

    /// The event is left as it is, for the caller to enable.
    #[must_use]
    pub const fn leave_disabled(mut self) -> Self {
        self.options.leave_disabled = true;
        self
    }

    /// `perf_event` names no event: always `None`.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        section::target(section, &["perf_event"], "perf_event")?;
        Ok(None)
    }
}

impl super::Target for PerfEvent {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let fd = match &self.source {
            Source::Opened(event) => duplicate(event.as_fd()),
            Source::Kind { event_type, config } => perf_event_open(&PerfEventOpen {
                kind: PerfKind::Event {
                    event_type: *event_type,
                    config: *config,
                },
                sampling: self.sampling,
                sample_type: 0,
                wakeup: Wakeup::Half,
                pid: self.pid,
                cpu: self.cpu,
            }),
        };
        let fd = fd.map_err(Error::call(program, "open its perf event"))?;
        attach_event(program, OpenEvent { fd, probe: None }, self.options)
    }
}
