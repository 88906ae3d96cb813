//! Perf buffers: records that programs send with `bpf_perf_event_output`, a buffer for each CPU.

use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use purebpf_insn::MapType;
use purebpf_syscall::perf::{
    PerfEventOpen, PerfKind, Sampling, perf_event_disable, perf_event_enable, perf_event_open,
};
use purebpf_syscall::{Epoll, MapRequest, Mapping, host};

use super::pages::Corrupt;
use super::perf_pages::{PerfPages, PerfPlace};
use super::wait::wait;
use crate::error::boxed;
use crate::{Error, Map, UpdateFlags};

/// `PERF_TYPE_SOFTWARE`, `PERF_COUNT_SW_BPF_OUTPUT`.
const OUTPUT: PerfKind<'static> = PerfKind::Event {
    event_type: 1,
    config: 10,
};
/// `PERF_SAMPLE_RAW`: a length, then what the program sent.
const SAMPLE_RAW: u64 = 1 << 10;
/// `PERF_RECORD_SAMPLE`
const SAMPLE: u32 = 9;
/// `PERF_RECORD_LOST`
const LOST: u32 = 2;
/// Pages of data for each CPU, if nothing else is said.
const PAGES: usize = 64;

/// How a [`PerfBuffer`] is made.
#[doc(alias = "perf_buffer_opts")]
#[derive(Clone, Debug)]
pub struct PerfBufferOptions {
    pages: usize,
    cpus: Option<Vec<u32>>,
    wakeup_events: u32,
}

impl Default for PerfBufferOptions {
    fn default() -> Self {
        Self {
            pages: PAGES,
            cpus: None,
            wakeup_events: 1,
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
    pub fn cpus(mut self, cpus: impl Into<Vec<u32>>) -> Self {
        self.cpus = Some(cpus.into());
        self
    }

    /// The reader is woken after so many records of a CPU.
    #[must_use]
    pub const fn wakeup_events(mut self, records: u32) -> Self {
        self.wakeup_events = records;
        self
    }

    /// A reader of this map.
    ///
    /// # Errors
    /// A map of another type, a number of pages that is no power of two, and what the kernel says:
    /// without `CAP_PERFMON`, `EACCES`; `EPERM` beyond `kernel.perf_event_mlock_kb`.
    pub fn open(&self, map: &Map) -> Result<PerfBuffer, Error> {
        PerfBuffer::open(map, self)
    }
}

/// A reader of a perf event array: what programs send to it on any CPU.
///
/// It pulls, as [`RingBuffer`](super::RingBuffer) does: [`Self::next`] gives what is there and never
/// waits; [`Self::wait`] waits; [`AsFd`] is an fd that can be read as long as there are records.
/// Records of one CPU come in order, those of several take turns.
#[doc(alias = "perf_buffer")]
#[doc(alias = "BPF_MAP_TYPE_PERF_EVENT_ARRAY")]
pub struct PerfBuffer {
    map: Map,
    buffers: Vec<Buffer>,
    epoll: Epoll,
    /// The buffer to look at first; it goes round, so that a busy CPU does not keep others waiting.
    turn: usize,
    /// Where a record is put together that breaks at the end of its buffer.
    spare: Vec<u8>,
}

struct Buffer {
    cpu: u32,
    pages: PerfPages,
    event: OwnedFd,
}

/// What came from a CPU.
#[derive(Debug)]
#[non_exhaustive]
pub enum PerfRecord<'a> {
    /// What a program sent.
    Sample(PerfSample<'a>),
    /// The buffer was full, and records were lost.
    Lost {
        /// The CPU.
        cpu: u32,
        /// How many.
        count: u64,
    },
    /// Something else that the kernel has to say, as it is.
    Other {
        /// `PERF_RECORD_*`.
        kind: u32,
        /// The rest of the record.
        record: PerfSample<'a>,
    },
}

/// Bytes in the memory that the kernel wrote. Dropping it gives the memory back.
///
/// The kernel fills records up to a multiple of 8 bytes, so up to 7 bytes may follow what the program
/// sent.
pub struct PerfSample<'a> {
    pages: &'a PerfPages,
    cpu: u32,
    data: &'a [u8],
    after: u64,
}

impl PerfBuffer {
    /// A reader of this map, with the defaults of [`PerfBufferOptions`].
    ///
    /// # Errors
    /// As [`PerfBufferOptions::open`].
    #[doc(alias = "perf_buffer__new")]
    pub fn new(map: &Map) -> Result<Self, Error> {
        Self::open(map, &PerfBufferOptions::new())
    }

    fn open(map: &Map, options: &PerfBufferOptions) -> Result<Self, Error> {
        if map.map_type() != MapType::PERF_EVENT_ARRAY {
            let (found, expected) = (map.map_type(), MapType::PERF_EVENT_ARRAY);
            return Err(Error::mismatch(map, "its type", found, expected));
        }
        if !options.pages.is_power_of_two() {
            let what = "the pages of its buffers";
            return Err(Error::mismatch(map, what, options.pages, "a power of two"));
        }
        let cpus = match &options.cpus {
            Some(cpus) => cpus.clone(),
            None => {
                let online = host::online_cpus().map_err(Error::call(map, "list CPUs"))?;
                // What has no slot cannot be sent to.
                let slots = map.max_entries();
                online.into_iter().filter(|cpu| *cpu < slots).collect()
            }
        };
        let mut reader = Self {
            map: map.clone(),
            buffers: Vec::with_capacity(cpus.len()),
            epoll: Epoll::new().map_err(Error::call(map, "wait for it"))?,
            turn: 0,
            spare: Vec::new(),
        };
        for cpu in cpus {
            reader.add(cpu, options)?;
        }
        Ok(reader)
    }

    fn add(&mut self, cpu: u32, options: &PerfBufferOptions) -> Result<(), Error> {
        let map = &self.map;
        let event = perf_event_open(&PerfEventOpen {
            kind: OUTPUT,
            sampling: Sampling::None,
            sample_type: SAMPLE_RAW,
            wakeup_events: options.wakeup_events.max(1),
            pid: None,
            cpu: Some(cpu),
        })
        .map_err(Error::call(map, "open its perf events"))?;
        let failed = |error| Error::call(map, "map its buffers")(error);
        let page = host::page_size().map_err(failed)?;
        let size = options.pages.checked_mul(page);
        let len = size.and_then(|size| size.checked_add(page));
        let (Some(size), Some(len)) = (size, len) else {
            return Err(Error::invalid(map, "its buffers are larger than memory"));
        };
        let mapping = |writable| {
            Mapping::new(&MapRequest {
                fd: Some(event.as_fd()),
                offset: 0,
                len,
                writable,
                address: 0,
            })
        };
        // The first decides whether the kernel heeds how far the reader is.
        let control = mapping(true).map_err(failed)?;
        let records = mapping(false).map_err(failed)?;
        perf_event_enable(event.as_fd()).map_err(Error::call(map, "enable its perf events"))?;
        let index = self.buffers.len() as u64;
        self.epoll
            .add(event.as_fd(), index)
            .map_err(Error::call(map, "wait for it"))?;
        let value = event.as_raw_fd().to_ne_bytes();
        map.update(&cpu.to_ne_bytes(), &value, UpdateFlags::ANY)?;
        self.buffers.push(Buffer {
            cpu,
            pages: PerfPages {
                control,
                records,
                page,
                size,
            },
            event,
        });
        Ok(())
    }

    /// The next record, if there is one.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: the pages hold what the kernel does not write. The reader stays where it
    /// is.
    // No iterator could lend out what its next step takes back.
    #[expect(clippy::should_implement_trait, reason = "a record borrows the reader")]
    pub fn next(&mut self) -> Result<Option<PerfRecord<'_>>, Error> {
        let count = self.buffers.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some(buffer) = self.buffers.get(index) else {
                continue;
            };
            let found = buffer.pages.find();
            if let Some(place) = found.map_err(|corrupt| corrupted(&self.map, corrupt))? {
                self.turn = (index + 1) % count;
                return self.record(index, place);
            }
        }
        Ok(None)
    }

    fn record(&mut self, index: usize, place: PerfPlace) -> Result<Option<PerfRecord<'_>>, Error> {
        let Some(buffer) = self.buffers.get(index) else {
            return Ok(None);
        };
        let (cpu, pages) = (buffer.cpu, &buffer.pages);
        let data = pages.data(place, &mut self.spare);
        let data = data.map_err(|corrupt| corrupted(&self.map, corrupt))?;
        let sample = |data| PerfSample {
            pages,
            cpu,
            data,
            after: place.after,
        };
        let short = || {
            let what = "a record is shorter than what it holds";
            let position = usize::try_from(place.after).unwrap_or(usize::MAX);
            corrupted(&self.map, Corrupt { position, what })
        };
        Ok(Some(match place.kind {
            SAMPLE => {
                let (len, rest) = data.split_first_chunk().ok_or_else(short)?;
                let len = usize::try_from(u32::from_ne_bytes(*len)).unwrap_or(usize::MAX);
                PerfRecord::Sample(sample(rest.get(..len).ok_or_else(short)?))
            }
            LOST => {
                let (_id, rest) = data.split_first_chunk::<8>().ok_or_else(short)?;
                let count = u64::from_ne_bytes(*rest.first_chunk().ok_or_else(short)?);
                pages.release(place.after);
                PerfRecord::Lost { cpu, count }
            }
            kind => PerfRecord::Other {
                kind,
                record: sample(data),
            },
        }))
    }

    /// Waits until there is something to read, for `timeout` at most; whether there is. A signal
    /// ends the wait, so that a loop around it can look whether to stop.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "perf_buffer__poll")]
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        wait(&self.epoll, &self.map, timeout)
    }

    /// The map that is read.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.map
    }

    /// The CPUs that are read.
    pub fn cpus(&self) -> impl Iterator<Item = u32> {
        self.buffers.iter().map(|buffer| buffer.cpu)
    }
}

fn corrupted(map: &Map, corrupt: Corrupt) -> Error {
    Error::Corrupt {
        object: boxed(map),
        position: corrupt.position as u64,
        what: corrupt.what,
    }
}

impl Drop for PerfBuffer {
    fn drop(&mut self) {
        for buffer in &self.buffers {
            // What a program sends now is lost either way; the slot may have gone already.
            self.map.delete(&buffer.cpu.to_ne_bytes()).ok();
            perf_event_disable(buffer.event.as_fd()).ok();
        }
    }
}

impl AsFd for PerfBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl fmt::Debug for PerfBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerfBuffer")
            .field("map", &self.map.name())
            .field("cpus", &self.cpus().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl PerfSample<'_> {
    /// The CPU that it is from.
    #[must_use]
    pub const fn cpu(&self) -> u32 {
        self.cpu
    }
}

impl Deref for PerfSample<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.data
    }
}

impl AsRef<[u8]> for PerfSample<'_> {
    fn as_ref(&self) -> &[u8] {
        self.data
    }
}

impl Drop for PerfSample<'_> {
    #[inline]
    fn drop(&mut self) {
        self.pages.release(self.after);
    }
}

impl fmt::Debug for PerfSample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerfSample")
            .field("cpu", &self.cpu)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
