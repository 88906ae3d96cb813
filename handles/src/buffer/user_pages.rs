//! The memory of a user ring buffer, and the places of records in it.
//!
//! As that of a ring buffer (`pages.rs`), the other way around: user space writes, programs take. Nothing
//! read here is believed: whoever has the map can write to the writer's page.

use purebpf_syscall::Mapping;

use super::pages::{BUSY, DISCARD, HEADER};

/// The pages of one user ring buffer.
#[derive(Debug)]
pub struct UserPages {
    /// The programs' page, read-only.
    pub consumer: Mapping,
    /// The writer's page, then the data twice in a row; writable.
    pub producer: Mapping,
    /// Bytes of a page.
    pub page: usize,
    /// Bytes of data, a power of two.
    pub size: usize,
}

/// Room for a record that programs do not see yet.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Where its header is in [`UserPages::producer`].
    header: usize,
    len: u32,
}

impl Room {
    /// Bytes of the record.
    pub const fn bytes(self) -> usize {
        self.len as usize
    }
}

impl UserPages {
    /// Bytes that a record of `len` takes with its header, if it ever fits.
    pub fn whole(&self, len: usize) -> Option<usize> {
        let is_length = u32::try_from(len).is_ok_and(|len| len & (BUSY | DISCARD) == 0);
        let whole = len.checked_add(HEADER)?.checked_next_multiple_of(8)?;
        (is_length && whole <= self.size).then_some(whole)
    }

    /// Where the next record goes, as a position, if it has room now.
    pub fn place(&self, len: usize) -> Option<usize> {
        // The pages are there and aligned, so there is no other outcome.
        let consumer: usize = self.consumer.load_acquire(0).unwrap_or(0);
        let producer: usize = self.producer.load_acquire(0).unwrap_or(0);
        let free = self.size.checked_sub(producer.wrapping_sub(consumer))?;
        (free >= self.whole(len)?).then_some(producer)
    }

    /// Takes this place; `None` if no record can be there.
    pub fn reserve(&self, position: usize, len: usize) -> Option<Room> {
        let whole = self.whole(len)?;
        let len = u32::try_from(len).ok()?;
        let header = position & self.size.wrapping_sub(1);
        let header = self.page.saturating_add(header);
        let ring = &self.producer;
        ring.store_release(header, len | BUSY)?;
        ring.store_release(header.checked_add(4)?, 0u32)?;
        ring.store_release(0, position.wrapping_add(whole))?;
        Some(Room { header, len })
    }

    /// Writes a part of a record, from `offset` on; `None` outside the record.
    pub fn write(&self, room: Room, offset: usize, bytes: &[u8]) -> Option<()> {
        let end = offset.checked_add(bytes.len())?;
        let start = room.header.checked_add(HEADER)?.checked_add(offset)?;
        (end <= room.bytes()).then(|| self.producer.write(start, bytes))?
    }

    /// Lets programs see the record.
    pub fn submit(&self, room: Room) {
        self.finish(room, 0);
    }

    /// Lets programs pass it over.
    pub fn discard(&self, room: Room) {
        self.finish(room, DISCARD);
    }

    fn finish(&self, room: Room, flag: u32) {
        // The place was written when it was reserved, so there is no other outcome.
        let _ = self.producer.store_release(room.header, room.len | flag);
    }
}
