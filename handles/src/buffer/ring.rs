//! Ring buffers: records from programs, read in place.

use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use purebpf_insn::{MapFlags, MapType};
use purebpf_syscall::{Epoll, MapRequest, Mapping, host::page_size};

use super::pages::{Corrupt, HEADER, Pages, Place};
use super::wait::wait;
use crate::error::boxed;
use crate::{Error, Map};

/// A reader of one or more ring buffers (5.8).
///
/// It pulls: [`Self::next`] gives what is there and never waits; [`Self::wait`] waits. For a runtime
/// of one's own, [`AsFd`] is an fd that can be read (`EPOLLIN`) as long as there are records.
///
/// A ring buffer has one position for all readers, so it should have one reader.
///
/// A record is lent: it is gone with the next step of its reader.
///
/// ```no_run
/// # fn sizes(reader: &mut purebpf_handles::RingBuffer) -> Result<(), purebpf_handles::Error> {
/// while let Some(record) = reader.next()? {
///     println!("{} bytes", record.len());
/// }
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0499
/// # fn two(reader: &mut purebpf_handles::RingBuffer) -> Result<(), purebpf_handles::Error> {
/// let first = reader.next()?;
/// let second = reader.next()?;
/// println!("{first:?}");
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0505
/// # fn late(mut reader: purebpf_handles::RingBuffer) -> Result<(), purebpf_handles::Error> {
/// let record = reader.next()?;
/// drop(reader);
/// println!("{record:?}");
/// # Ok(()) }
/// ```
///
/// The reader may go to another thread, with what a callback holds if that may:
///
/// ```no_run
/// # fn count(mut reader: purebpf_handles::RingBuffer) {
/// let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
/// std::thread::spawn(move || {
///     reader.consume(|_| drop(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
/// });
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # fn count(mut reader: purebpf_handles::RingBuffer) {
/// let count = std::rc::Rc::new(std::cell::Cell::new(0));
/// std::thread::spawn(move || reader.consume(|_| count.set(count.get() + 1)));
/// # }
/// ```
#[doc(alias = "ring_buffer")]
#[doc(alias = "BPF_MAP_TYPE_RINGBUF")]
pub struct RingBuffer {
    rings: Vec<Ring>,
    epoll: Epoll,
    /// The ring to look at first; it goes round, so that a busy one does not keep others waiting.
    turn: usize,
}

struct Ring {
    map: Map,
    pages: Pages,
}

/// A record that is there: the number of its ring, and where it is.
#[derive(Clone, Copy, Debug)]
struct Found {
    index: usize,
    place: Place,
}

/// A record, in the memory where the program wrote it. Dropping it gives the memory back.
pub struct Record<'a> {
    ring: &'a Ring,
    index: usize,
    data: &'a [u8],
    after: usize,
}

impl RingBuffer {
    /// A reader of this map.
    ///
    /// # Errors
    /// A map of another type, one that overwrites old records, and what the kernel says.
    #[doc(alias = "ring_buffer__new")]
    pub fn new(map: &Map) -> Result<Self, Error> {
        let epoll = Epoll::new().map_err(Error::call(map, "wait for it"))?;
        let mut reader = Self {
            rings: Vec::new(),
            epoll,
            turn: 0,
        };
        reader.add(map)?;
        Ok(reader)
    }

    /// Reads this map too; returns its number, which its records have.
    ///
    /// # Errors
    /// As [`Self::new`]; the same map twice.
    #[doc(alias = "ring_buffer__add")]
    pub fn add(&mut self, map: &Map) -> Result<usize, Error> {
        let ring = Ring::new(map)?;
        let index = self.rings.len();
        self.epoll
            .add(map.as_fd(), index as u64)
            .map_err(Error::call(map, "wait for it"))?;
        self.rings.push(ring);
        Ok(index)
    }

    /// The next record, if there is one that is complete. Within a map, records come in the order in
    /// which programs reserved them; several maps take turns.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: the pages hold what the kernel does not write, because somebody else
    /// writes there. The reader stays where it is.
    // No iterator could lend out what its next step takes back.
    #[expect(clippy::should_implement_trait, reason = "a record borrows the reader")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        let (rings, index) = (&self.rings, self.turn);
        if let Some(ring) = rings.get(index)
            && let Some((data, after)) = ring.pages.next()
        {
            self.turn = following(index, rings.len());
            return Ok(Some(Record {
                ring,
                index,
                data,
                after,
            }));
        }
        let record = Self::search(rings, index)?;
        if let Some(record) = &record {
            self.turn = following(record.index, rings.len());
        }
        Ok(record)
    }

    /// The next record of any ring, from `first` around to it again.
    #[cold]
    fn search(rings: &[Ring], first: usize) -> Result<Option<Record<'_>>, Error> {
        match find(rings, first)? {
            Some(found) => take(rings, found),
            None => Ok(None),
        }
    }

    /// Whether there is a record, which stays where it is.
    #[cfg(feature = "tokio")]
    pub(super) fn has_record(&self) -> Result<bool, Error> {
        Ok(find(&self.rings, self.turn)?.is_some())
    }

    /// Waits until there is something to read, for `timeout` at most; whether there is. A record
    /// that a program still writes counts, so [`Self::next`] may find none. A signal ends the wait,
    /// so that a loop around it can look whether to stop.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        wait(&self.epoll, &"ring buffer", timeout)
    }

    /// Calls `handle` with each record that is there, map by map, and returns how many these were. It
    /// ends even if programs are faster than `handle`, with at most as many records as the buffers
    /// can hold.
    ///
    /// # Errors
    /// As [`Self::next`].
    #[doc(alias = "ring_buffer__consume")]
    pub fn consume(&mut self, handle: impl FnMut(&Record<'_>)) -> Result<usize, Error> {
        self.consume_n(usize::MAX, handle)
    }

    /// As [`Self::consume`], for so many records at most; those that are discarded do not count.
    ///
    /// # Errors
    /// As [`Self::next`].
    #[doc(alias = "ring_buffer__consume_n")]
    pub fn consume_n(
        &mut self,
        limit: usize,
        mut handle: impl FnMut(&Record<'_>),
    ) -> Result<usize, Error> {
        let mut count = 0;
        for (index, ring) in self.rings.iter().enumerate() {
            count += ring.consume(index, limit - count, &mut handle)?;
        }
        Ok(count)
    }

    /// As [`Self::consume_n`], for the records of map `index`.
    ///
    /// # Errors
    /// As [`Self::next`]; a number that no map has.
    #[doc(alias = "ring__consume")]
    #[doc(alias = "ring__consume_n")]
    pub fn consume_map(
        &mut self,
        index: usize,
        limit: usize,
        mut handle: impl FnMut(&Record<'_>),
    ) -> Result<usize, Error> {
        let ring = self.rings.get(index);
        let ring = ring.ok_or_else(|| Error::invalid("ring buffer", "it has no such map"))?;
        ring.consume(index, limit, &mut handle)
    }

    /// Waits as [`Self::wait`] does, then consumes as [`Self::consume`] does.
    ///
    /// # Errors
    /// As both of them.
    #[doc(alias = "ring_buffer__poll")]
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        handle: impl FnMut(&Record<'_>),
    ) -> Result<usize, Error> {
        if self.wait(timeout)? {
            self.consume(handle)
        } else {
            Ok(0)
        }
    }

    /// Bytes in the buffer of map `index` that are not read yet, with headers, records that are not
    /// finished and ones that are discarded; `None` if there is no such map.
    #[doc(alias = "ring__avail_data_size")]
    #[must_use]
    pub fn available(&self, index: usize) -> Option<usize> {
        let pages = &self.rings.get(index)?.pages;
        Some(
            pages
                .producer_position()
                .wrapping_sub(pages.consumer_position()),
        )
    }

    /// How far map `index` was read and how far programs reserved, bytes since the start; `None` if
    /// there is no such map.
    #[doc(alias = "ring__consumer_pos")]
    #[doc(alias = "ring__producer_pos")]
    #[must_use]
    pub fn positions(&self, index: usize) -> Option<(usize, usize)> {
        let pages = &self.rings.get(index)?.pages;
        Some((pages.consumer_position(), pages.producer_position()))
    }

    /// Bytes that the buffer of map `index` holds, with headers; `None` if there is no such map.
    #[doc(alias = "ring__size")]
    #[must_use]
    pub fn size(&self, index: usize) -> Option<usize> {
        Some(self.rings.get(index)?.pages.size)
    }

    /// The maps that are read, by number.
    pub fn maps(&self) -> impl Iterator<Item = &Map> {
        self.rings.iter().map(|ring| &ring.map)
    }
}

/// The buffer, of `count`, whose turn it is after another.
#[inline]
pub(super) const fn following(index: usize, count: usize) -> usize {
    let next = index + 1;
    if next < count { next } else { 0 }
}

/// The next record of any ring, from `first` around to it again.
fn find(rings: &[Ring], first: usize) -> Result<Option<Found>, Error> {
    for index in (first..rings.len()).chain(0..first) {
        let Some(ring) = rings.get(index) else {
            continue;
        };
        if let Some(place) = ring.find()? {
            return Ok(Some(Found { index, place }));
        }
    }
    Ok(None)
}

fn take(rings: &[Ring], found: Found) -> Result<Option<Record<'_>>, Error> {
    let Found { index, place } = found;
    let ring = rings.get(index);
    ring.map(|ring| ring.record(index, place)).transpose()
}

impl Ring {
    fn new(map: &Map) -> Result<Self, Error> {
        if map.map_type() != MapType::RINGBUF {
            return Err(Error::mismatch(
                map,
                "its type",
                map.map_type(),
                MapType::RINGBUF,
            ));
        }
        if map.flags().contains(MapFlags::RB_OVERWRITE) {
            return Err(Error::unsupported(
                map,
                "reader of a ring buffer that overwrites",
            ));
        }
        let failed = |error| Error::call(map, "map its memory")(error);
        let page = page_size().map_err(failed)?;
        let size = map.max_entries() as usize;
        let len = size.checked_mul(2).and_then(|len| len.checked_add(page));
        let (true, Some(len)) = (size.is_power_of_two(), len) else {
            return Err(Error::mismatch(
                map,
                "its size",
                size,
                "a power of two that fits in memory",
            ));
        };
        let fd = Some(map.as_fd());
        let consumer = MapRequest {
            fd,
            offset: 0,
            len: page,
            writable: true,
            address: 0,
        };
        let producer = MapRequest {
            fd,
            offset: page as u64,
            len,
            writable: false,
            address: 0,
        };
        let pages = Pages {
            consumer: Mapping::new(&consumer).map_err(failed)?,
            producer: Mapping::new(&producer).map_err(failed)?,
            page,
            size,
        };
        Ok(Self {
            map: map.clone(),
            pages,
        })
    }

    /// The next record, whatever there is on the way to it.
    fn find(&self) -> Result<Option<Place>, Error> {
        self.pages.find().map_err(|corrupt| self.error(corrupt))
    }

    /// A record that was found; `index` is this ring's number.
    fn record(&self, index: usize, place: Place) -> Result<Record<'_>, Error> {
        let data = self.pages.data(place);
        Ok(Record {
            ring: self,
            index,
            data: data.map_err(|corrupt| self.error(corrupt))?,
            after: place.after,
        })
    }

    #[inline]
    fn consume(
        &self,
        index: usize,
        limit: usize,
        handle: &mut impl FnMut(&Record<'_>),
    ) -> Result<usize, Error> {
        let (ring, pages) = (self, &self.pages);
        let limit = limit.min(pages.size / HEADER);
        let mut count = 0;
        let mut position = pages.consumer_position();
        while count < limit {
            // What is as it should be needs no more than this.
            let producer = pages.producer_position();
            while count < limit
                && let Some((data, after)) = pages.next_at(position, producer)
            {
                handle(&Record {
                    ring,
                    index,
                    data,
                    after,
                });
                position = after;
                count += 1;
            }
            if count == limit {
                break;
            }
            let Some(place) = self.find()? else {
                break;
            };
            handle(&self.record(index, place)?);
            position = place.after;
            count += 1;
        }
        Ok(count)
    }

    #[cold]
    fn error(&self, corrupt: Corrupt) -> Error {
        let Corrupt { position, what } = corrupt;
        Error::Corrupt {
            object: boxed(&self.map),
            position: position as u64,
            what,
        }
    }
}

impl Record<'_> {
    /// The number of the map that it is from, as [`RingBuffer::add`] gave it; the first has 0.
    #[must_use]
    pub const fn map_index(&self) -> usize {
        self.index
    }

    /// The map that it is from.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.ring.map
    }
}

impl Deref for Record<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.data
    }
}

impl AsRef<[u8]> for Record<'_> {
    fn as_ref(&self) -> &[u8] {
        self.data
    }
}

impl Drop for Record<'_> {
    #[inline]
    fn drop(&mut self) {
        self.ring.pages.release(self.after);
    }
}

impl AsFd for RingBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl fmt::Debug for RingBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingBuffer")
            .field(
                "maps",
                &self
                    .rings
                    .iter()
                    .map(|ring| ring.map.name())
                    .collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("map", &self.ring.map.name())
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
