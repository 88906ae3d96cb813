//! Perf buffers: records that programs send with `bpf_perf_event_output`, a buffer for each CPU.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use purebpf_insn::MapType;
use purebpf_syscall::perf::{perf_event_disable, perf_event_enable, perf_event_open};
use purebpf_syscall::{Epoll, MapRequest, Mapping, host};

use super::pages::Corrupt;
use super::perf_options::PerfBufferOptions;
use super::perf_pages::{HEADER, Handled, PerfHeader, PerfPages, PerfPlace};
use super::perf_record::{PerfRecord, record};
use super::ring::following;
use super::wait::wait;
use crate::error::boxed;
use crate::{Error, Map, UpdateFlags};

/// A reader of a perf event array: what programs send to it on any CPU.
///
/// It pulls, as [`RingBuffer`](super::RingBuffer) does: [`Self::next`] gives what is there and never
/// waits; [`Self::wait`] waits. Records of one CPU come in order, those of several take turns.
///
/// [`AsFd`] is an fd that can be read when the kernel has woken the reader since it was last asked:
/// read until [`Self::next`] has nothing more before the fd is asked again.
///
/// A record is lent, as one of a ring buffer is:
///
/// ```compile_fail,E0499
/// # fn two(reader: &mut purebpf_handles::PerfBuffer) -> Result<(), purebpf_handles::Error> {
/// let first = reader.next()?;
/// let second = reader.next()?;
/// println!("{first:?}");
/// # Ok(()) }
/// ```
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
    /// Of its element in the map.
    key: u32,
    pages: PerfPages,
    event: OwnedFd,
    samples_are_raw: bool,
}

/// A record that is there: the number of its buffer, and where it is.
#[derive(Clone, Copy, Debug)]
struct PerfFound {
    index: usize,
    place: PerfPlace,
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

    pub(super) fn open(map: &Map, options: &PerfBufferOptions) -> Result<Self, Error> {
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
                let cpus = online.into_iter().filter(|cpu| *cpu < slots);
                cpus.map(|cpu| (cpu, cpu)).collect()
            }
        };
        let mut reader = Self {
            map: map.clone(),
            buffers: Vec::with_capacity(cpus.len()),
            epoll: Epoll::new().map_err(Error::call(map, "wait for it"))?,
            turn: 0,
            spare: Vec::new(),
        };
        for (cpu, key) in cpus {
            reader.add(cpu, key, options)?;
        }
        Ok(reader)
    }

    fn add(&mut self, cpu: u32, key: u32, options: &PerfBufferOptions) -> Result<(), Error> {
        let map = &self.map;
        let event = perf_event_open(&options.event_on(cpu));
        let event = event.map_err(Error::call(map, "open its perf events"))?;
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
        map.update(&key.to_ne_bytes(), &value, UpdateFlags::ANY)?;
        self.buffers.push(Buffer {
            cpu,
            key,
            pages: PerfPages {
                control,
                records,
                page,
                size,
            },
            event,
            samples_are_raw: options.samples_are_raw(),
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
    #[inline]
    pub fn next(&mut self) -> Result<Option<PerfRecord<'_>>, Error> {
        let (buffers, index) = (&self.buffers, self.turn);
        if let Some(buffer) = buffers.get(index)
            && let pages = &buffer.pages
            && let tail = pages.tail()
            && let Some(available) = pages.available(tail, pages.head())
            && let Some((header, data)) = pages.next_at(tail, available)
        {
            self.turn = following(index, buffers.len());
            return buffer.record(&self.map, (header, data), true).map(Some);
        }
        let Some(found) = find(&self.map, buffers, index)? else {
            return Ok(None);
        };
        self.turn = following(found.index, buffers.len());
        take(&self.map, buffers, &mut self.spare, found).map(Some)
    }

    /// Whether there is a record, which stays where it is.
    pub(super) fn has_record(&self) -> Result<bool, Error> {
        Ok(find(&self.map, &self.buffers, self.turn)?.is_some())
    }

    /// Waits until there is something to read, for `timeout` at most; whether there is. A signal
    /// ends the wait, so that a loop around it can look whether to stop.
    ///
    /// # Errors
    /// What the kernel says; as [`Self::next`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        // The kernel tells once of records: of some that are there it told before, and of some that
        // were read it tells now.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        while !self.has_record()? {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if !wait(&self.epoll, &self.map, left)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Calls `handle` with each record that is there, CPU by CPU, and returns how many these were. It
    /// ends even if programs are faster than `handle`, with at most as many records as the buffers
    /// can hold.
    ///
    /// # Errors
    /// As [`Self::next`].
    #[doc(alias = "perf_buffer__consume")]
    pub fn consume(&mut self, handle: impl FnMut(&PerfRecord<'_>)) -> Result<usize, Error> {
        self.consume_n(usize::MAX, handle)
    }

    /// As [`Self::consume`], for so many records at most.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn consume_n(
        &mut self,
        limit: usize,
        mut handle: impl FnMut(&PerfRecord<'_>),
    ) -> Result<usize, Error> {
        let mut count = 0;
        for buffer in &self.buffers {
            count += buffer.consume(&self.map, &mut self.spare, limit - count, &mut handle)?;
        }
        Ok(count)
    }

    /// As [`Self::consume_n`], for the records of one CPU.
    ///
    /// # Errors
    /// As [`Self::next`]; a CPU that is not read.
    #[doc(alias = "perf_buffer__consume_buffer")]
    pub fn consume_cpu(
        &mut self,
        cpu: u32,
        limit: usize,
        mut handle: impl FnMut(&PerfRecord<'_>),
    ) -> Result<usize, Error> {
        let buffer = self.buffers.iter().find(|buffer| buffer.cpu == cpu);
        let buffer = buffer.ok_or_else(|| Error::invalid(&self.map, "it has no such CPU"))?;
        buffer.consume(&self.map, &mut self.spare, limit, &mut handle)
    }

    /// Waits as [`Self::wait`] does, then consumes as [`Self::consume`] does.
    ///
    /// # Errors
    /// As both of them.
    #[doc(alias = "perf_buffer__poll")]
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        handle: impl FnMut(&PerfRecord<'_>),
    ) -> Result<usize, Error> {
        if self.wait(timeout)? {
            self.consume(handle)
        } else {
            Ok(0)
        }
    }

    /// The map that is read.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.map
    }

    /// The CPUs that are read.
    #[doc(alias = "perf_buffer__buffer_cnt")]
    pub fn cpus(&self) -> impl Iterator<Item = u32> {
        self.buffers.iter().map(|buffer| buffer.cpu)
    }

    fn of_cpu(&self, cpu: u32) -> Option<&Buffer> {
        self.buffers.iter().find(|buffer| buffer.cpu == cpu)
    }

    /// The perf event of a CPU; `None` if the CPU is not read.
    #[doc(alias = "perf_buffer__buffer_fd")]
    #[must_use]
    pub fn event_fd(&self, cpu: u32) -> Option<BorrowedFd<'_>> {
        Some(self.of_cpu(cpu)?.event.as_fd())
    }

    /// How far a CPU's buffer was read and how far it was written, bytes since the start; `None` if
    /// the CPU is not read.
    #[doc(alias = "data_tail")]
    #[doc(alias = "data_head")]
    #[must_use]
    pub fn positions(&self, cpu: u32) -> Option<(u64, u64)> {
        let pages = &self.of_cpu(cpu)?.pages;
        Some((pages.tail(), pages.head()))
    }

    /// Copies bytes out of a CPU's mapping, from `offset` on: first a page of control
    /// (`struct perf_event_mmap_page`), then the data. The kernel may write there meanwhile; `None`
    /// for bytes outside, or a CPU that is not read.
    #[doc(alias = "perf_buffer__buffer")]
    #[must_use]
    pub fn read_memory(&self, cpu: u32, offset: usize, to: &mut [u8]) -> Option<()> {
        self.of_cpu(cpu)?.pages.records.read(offset, to)
    }
}

/// The next record of any CPU, from the `first` around to it again.
#[cold]
fn find(map: &Map, buffers: &[Buffer], first: usize) -> Result<Option<PerfFound>, Error> {
    for index in (first..buffers.len()).chain(0..first) {
        let Some(buffer) = buffers.get(index) else {
            continue;
        };
        let place = buffer.pages.find();
        if let Some(place) = place.map_err(|corrupt| corrupted(map, corrupt))? {
            return Ok(Some(PerfFound { index, place }));
        }
    }
    Ok(None)
}

fn take<'a>(
    map: &Map,
    buffers: &'a [Buffer],
    spare: &'a mut Vec<u8>,
    found: PerfFound,
) -> Result<PerfRecord<'a>, Error> {
    let PerfFound { index, place } = found;
    let buffer = buffers.get(index);
    let buffer = buffer.ok_or_else(|| Error::invalid(map, "it has no such CPU"))?;
    let data = buffer.pages.data(place, spare);
    let data = data.map_err(|corrupt| corrupted(map, corrupt))?;
    buffer.record(map, (place.header, data), true)
}

impl PerfBufferOptions {
    /// A reader of this map.
    ///
    /// # Errors
    /// A map of another type, a number of pages that is no power of two, and what the kernel says:
    /// without `CAP_PERFMON`, `EACCES`; `EPERM` beyond `kernel.perf_event_mlock_kb`.
    pub fn open(&self, map: &Map) -> Result<PerfBuffer, Error> {
        PerfBuffer::open(map, self)
    }
}

impl Buffer {
    #[inline]
    fn record<'a>(
        &'a self,
        map: &Map,
        found: (PerfHeader, &'a [u8]),
        gives_back: bool,
    ) -> Result<PerfRecord<'a>, Error> {
        record(
            &self.pages,
            self.cpu,
            self.samples_are_raw,
            found,
            gives_back,
        )
        .map_err(|corrupt| corrupted(map, corrupt))
    }

    #[inline]
    fn consume(
        &self,
        map: &Map,
        spare: &mut Vec<u8>,
        limit: usize,
        handle: &mut impl FnMut(&PerfRecord<'_>),
    ) -> Result<usize, Error> {
        let pages = &self.pages;
        let limit = limit.min(pages.size / HEADER);
        let mut count = 0;
        let mut handled = Handled::new(pages);
        while count < limit {
            // What is as it should be needs no more than this.
            let available = pages.available(handled.position(), pages.head());
            let mut left = available.unwrap_or_default();
            while count < limit
                && let Some(found) = pages.next_at(handled.position(), left)
            {
                handle(&self.record(map, found, false)?);
                handled.reach(found.0.after);
                left -= found.0.whole();
                count += 1;
            }
            if count == limit {
                break;
            }
            handled.tell();
            let place = pages.find().map_err(|corrupt| corrupted(map, corrupt))?;
            let Some(place) = place else {
                break;
            };
            let data = pages.data(place, spare);
            let data = data.map_err(|corrupt| corrupted(map, corrupt))?;
            handle(&self.record(map, (place.header, data), false)?);
            handled.reach(place.header.after);
            count += 1;
        }
        Ok(count)
    }
}

#[cold]
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
            self.map.delete(&buffer.key.to_ne_bytes()).ok();
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
