//! How a perf buffer is made: of which events, on which CPUs, and when its reader is woken.

use purebpf_syscall::perf::{PerfEventOpen, PerfKind, Sampling, Wakeup};

/// `PERF_TYPE_SOFTWARE`, `PERF_COUNT_SW_BPF_OUTPUT`.
const OUTPUT: PerfKind<'static> = PerfKind::Event {
    event_type: 1,
    config: 10,
};
/// `PERF_SAMPLE_RAW`: a length, then what the program sent.
const SAMPLE_RAW: u64 = 1 << 10;
/// Pages of data for each CPU, if nothing else is said.
const PAGES: usize = 64;

/// How a [`PerfBuffer`](super::PerfBuffer) is made.
#[doc(alias = "perf_buffer_opts")]
#[doc(alias = "perf_buffer_raw_opts")]
#[derive(Clone, Debug)]
pub struct PerfBufferOptions {
    pub(super) pages: usize,
    /// CPUs and the keys of their elements in the map.
    pub(super) cpus: Option<Vec<(u32, u32)>>,
    kind: PerfKind<'static>,
    sampling: Sampling,
    sample_type: u64,
    wakeup: Wakeup,
}

impl Default for PerfBufferOptions {
    fn default() -> Self {
        Self {
            pages: PAGES,
            cpus: None,
            kind: OUTPUT,
            sampling: Sampling::None,
            sample_type: SAMPLE_RAW,
            wakeup: Wakeup::Records(1),
        }
    }
}

impl PerfBufferOptions {
    /// 64 pages for each CPU that runs, a wake-up for each record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pages of data for each CPU: a power of two.
    #[must_use]
    pub const fn pages(mut self, pages: usize) -> Self {
        self.pages = pages;
        self
    }

    /// Only these CPUs, whether they run or not.
    #[must_use]
    pub fn cpus(self, cpus: impl Into<Vec<u32>>) -> Self {
        let cpus = cpus.into().into_iter();
        self.cpus_with_keys(cpus.map(|cpu| (cpu, cpu)).collect::<Vec<_>>())
    }

    /// Only these CPUs, each with the key of its element in the map: what a program sends to that
    /// element while it runs on that CPU is read.
    #[doc(alias = "map_keys")]
    #[must_use]
    pub fn cpus_with_keys(mut self, cpus_and_keys: impl Into<Vec<(u32, u32)>>) -> Self {
        self.cpus = Some(cpus_and_keys.into());
        self
    }

    /// The reader is woken after so many records of a CPU.
    #[doc(alias = "sample_period")]
    #[must_use]
    pub const fn wakeup_events(mut self, records: u32) -> Self {
        self.wakeup = Wakeup::Records(records);
        self
    }

    /// The reader is woken after so many bytes of a CPU, headers counted.
    #[doc(alias = "wakeup_watermark")]
    #[must_use]
    pub const fn wakeup_bytes(mut self, bytes: u32) -> Self {
        self.wakeup = Wakeup::Bytes(bytes);
        self
    }

    /// Another event than what programs send, by the type and config of `perf_event_attr`. With
    /// [`Self::period`] or [`Self::frequency`] the kernel writes records of its own.
    #[doc(alias = "perf_buffer__new_raw")]
    #[must_use]
    pub const fn event(mut self, event_type: u32, config: u64) -> Self {
        self.kind = PerfKind::Event { event_type, config };
        self
    }

    /// A record once in so many events (nanoseconds, for a clock).
    #[must_use]
    pub const fn period(mut self, period: u64) -> Self {
        self.sampling = Sampling::Period(period);
        self
    }

    /// So many records a second.
    #[must_use]
    pub const fn frequency(mut self, frequency: u64) -> Self {
        self.sampling = Sampling::Frequency(frequency);
        self
    }

    /// What a sample holds, as `PERF_SAMPLE_*` bits. With others than `PERF_SAMPLE_RAW` (1 << 10),
    /// samples are not taken apart but come as [`PerfRecord::Other`](super::PerfRecord::Other).
    #[must_use]
    pub const fn sample_type(mut self, bits: u64) -> Self {
        self.sample_type = bits;
        self
    }

    /// Whether samples are what programs sent, and nothing else.
    pub(super) const fn samples_are_raw(&self) -> bool {
        self.sample_type == SAMPLE_RAW
    }

    /// The event on one CPU.
    pub(super) const fn event_on(&self, cpu: u32) -> PerfEventOpen<'static> {
        PerfEventOpen {
            kind: self.kind,
            sampling: self.sampling,
            sample_type: self.sample_type,
            wakeup: self.wakeup,
            pid: None,
            cpu: Some(cpu),
        }
    }
}
