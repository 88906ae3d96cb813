//! User ring buffers: records from user space to programs.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use purebpf_insn::MapType;
use purebpf_syscall::{Epoll, MapRequest, Mapping, host::page_size};

use super::pages::HEADER;
use super::user_pages::{Room, UserPages};
use super::wait::wait;
use crate::{Error, Map};

/// A writer of a user ring buffer (6.1): programs take its records with
/// `bpf_user_ringbuf_drain`.
///
/// A user ring buffer has one position for all writers, so it should have one writer. [`AsFd`] is an
/// fd that can be written (`EPOLLOUT`) once a program took something.
#[doc(alias = "user_ring_buffer")]
#[doc(alias = "BPF_MAP_TYPE_USER_RINGBUF")]
pub struct UserRingBuffer {
    map: Map,
    pages: UserPages,
    epoll: Epoll,
}

/// Room for a record that programs do not see yet. Dropping it discards it.
#[must_use = "a record that is dropped is discarded"]
pub struct Reservation<'a> {
    ring: &'a UserRingBuffer,
    room: Room,
    is_done: bool,
}

impl UserRingBuffer {
    /// A writer of this map.
    ///
    /// # Errors
    /// A map of another type, and what the kernel says.
    #[doc(alias = "user_ring_buffer__new")]
    pub fn new(map: &Map) -> Result<Self, Error> {
        if map.map_type() != MapType::USER_RINGBUF {
            let (found, expected) = (map.map_type(), MapType::USER_RINGBUF);
            return Err(Error::mismatch(map, "its type", found, expected));
        }
        let failed = |error| Error::call(map, "map its memory")(error);
        let page = page_size().map_err(failed)?;
        let size = map.max_entries() as usize;
        let len = size.checked_mul(2).and_then(|len| len.checked_add(page));
        let (true, Some(len)) = (size.is_power_of_two(), len) else {
            let expected = "a power of two that fits in memory";
            return Err(Error::mismatch(map, "its size", size, expected));
        };
        let mapping = |offset: usize, len, writable| {
            Mapping::new(&MapRequest {
                fd: Some(map.as_fd()),
                offset: offset as u64,
                len,
                writable,
                address: 0,
            })
        };
        let epoll = Epoll::new().map_err(Error::call(map, "wait for it"))?;
        epoll
            .add_for_writing(map.as_fd(), 0)
            .map_err(Error::call(map, "wait for it"))?;
        Ok(Self {
            pages: UserPages {
                consumer: mapping(0, page, false).map_err(failed)?,
                producer: mapping(page, len, true).map_err(failed)?,
                page,
                size,
            },
            map: map.clone(),
            epoll,
        })
    }

    /// Bytes that a record of `len` takes with its header.
    fn whole(&self, len: usize) -> Result<usize, Error> {
        self.pages.whole(len).ok_or_else(|| {
            let most = self.pages.size.saturating_sub(HEADER);
            Error::mismatch(
                &self.map,
                "the record's size",
                len,
                format_args!("at most {most}"),
            )
        })
    }

    /// Room for a record of `len` bytes; nothing as long as there is none.
    ///
    /// # Errors
    /// A record that never fits.
    #[doc(alias = "user_ring_buffer__reserve")]
    pub fn reserve(&mut self, len: usize) -> Result<Option<Reservation<'_>>, Error> {
        self.whole(len)?;
        let Some(position) = self.pages.place(len) else {
            return Ok(None);
        };
        let room = self.pages.reserve(position, len);
        let room =
            room.ok_or_else(|| Error::invalid(&self.map, "its pages are not what they were"))?;
        Ok(Some(Reservation {
            ring: self,
            room,
            is_done: false,
        }))
    }

    /// As [`Self::reserve`], but waits for room, for `timeout` at most (without one, for ever).
    ///
    /// # Errors
    /// As [`Self::reserve`], and what the kernel says.
    #[doc(alias = "user_ring_buffer__reserve_blocking")]
    pub fn reserve_within(
        &mut self,
        len: usize,
        timeout: Option<Duration>,
    ) -> Result<Option<Reservation<'_>>, Error> {
        self.whole(len)?;
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if self.pages.place(len).is_some() || left.is_some_and(|left| left.is_zero()) {
                return self.reserve(len);
            }
            self.wait(left)?;
        }
    }

    /// Writes one record; whether there was room.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn send(&mut self, record: &[u8]) -> Result<bool, Error> {
        let Some(mut reservation) = self.reserve(record.len())? else {
            return Ok(false);
        };
        reservation.write(0, record)?;
        reservation.submit();
        Ok(true)
    }

    /// Waits until a program took something, for `timeout` at most; whether it did. A signal ends the
    /// wait.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        wait(&self.epoll, &self.map, timeout)
    }

    /// The map that is written.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.map
    }
}

impl Reservation<'_> {
    /// Bytes of the record.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.room.bytes()
    }

    /// Whether the record has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes a part of the record, from `offset` on. What is never written is what was there.
    ///
    /// # Errors
    /// Bytes outside the record.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let written = self.ring.pages.write(self.room, offset, bytes);
        written.ok_or_else(|| Error::invalid(&self.ring.map, "the bytes are outside the record"))
    }

    /// Lets programs see the record.
    #[doc(alias = "user_ring_buffer__submit")]
    pub fn submit(mut self) {
        self.is_done = true;
        self.ring.pages.submit(self.room);
    }

    /// Lets programs pass it over, as dropping it does.
    #[doc(alias = "user_ring_buffer__discard")]
    pub fn discard(self) {
        drop(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.ring.pages.discard(self.room);
        }
    }
}

impl AsFd for UserRingBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl fmt::Debug for UserRingBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRingBuffer")
            .field("map", &self.map.name())
            .field("size", &self.pages.size)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("map", &self.ring.map.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
