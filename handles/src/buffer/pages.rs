//! The memory of a ring buffer, and the search for records in it.
//!
//! The kernel shares three things: a page where the reader says how far it is, a page where the
//! programs say how far they are, and the data, mapped twice in a row so that a record never breaks
//! at the end. Positions only grow; their lower bits are the offset in the data.
//!
//! Nothing read here is believed: whoever has the map can write to the reader's page.

use std::ops::Range;
use std::sync::atomic::{Ordering, fence};

use purebpf_syscall::Mapping;

/// Bytes of a record's header: length and flags, then a number of the kernel's own.
pub(super) const HEADER: usize = 8;
/// In the length: the program still writes the record (`BPF_RINGBUF_BUSY_BIT`).
pub(super) const BUSY: u32 = 1 << 31;
/// In the length: the program does not want it to be seen (`BPF_RINGBUF_DISCARD_BIT`).
pub(super) const DISCARD: u32 = 1 << 30;

/// Memory that is shared with the kernel: a [`Mapping`], or what a test puts in its place.
pub trait Shared {
    /// The position at `offset`, with acquire ordering; `None` outside.
    fn position(&self, offset: usize) -> Option<usize>;
    /// Stores it, with release ordering.
    fn set_position(&self, offset: usize, position: usize) -> Option<()>;
    /// A record's length and flags, with acquire ordering; `None` outside.
    fn header(&self, offset: usize) -> Option<u32>;
    /// Bytes that the other side has given away; `None` outside.
    fn bytes(&self, range: Range<usize>) -> Option<&[u8]>;
    /// A barrier between all that is before and all that is after it.
    fn fence();
}

impl Shared for Mapping {
    #[inline]
    fn position(&self, offset: usize) -> Option<usize> {
        self.load_acquire(offset)
    }

    #[inline]
    fn set_position(&self, offset: usize, position: usize) -> Option<()> {
        self.store_release(offset, position)
    }

    #[inline]
    fn header(&self, offset: usize) -> Option<u32> {
        self.load_acquire(offset)
    }

    #[inline]
    fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        self.bytes(range)
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// The pages of one ring buffer.
#[derive(Debug)]
pub struct Pages<M = Mapping> {
    /// The reader's page, writable.
    pub consumer: M,
    /// The programs' page, then the data twice; read-only.
    pub producer: M,
    /// Bytes of a page.
    pub page: usize,
    /// Bytes of data, a power of two.
    pub size: usize,
}

/// A record: where its data is in [`Pages::producer`], and the position after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    offset: usize,
    len: usize,
    /// The position after it.
    pub after: usize,
}

/// Pages that hold what the kernel does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Where the reader is.
    pub position: usize,
    /// The rule that is broken.
    pub what: &'static str,
}

impl<M: Shared> Pages<M> {
    /// How far the reader is.
    pub fn consumer_position(&self) -> usize {
        // The page is there and aligned, so there is no other outcome.
        self.consumer.position(0).unwrap_or(0)
    }

    /// How far the programs are.
    pub fn producer_position(&self) -> usize {
        self.producer.position(0).unwrap_or(0)
    }

    /// Gives back everything before `position`.
    #[inline]
    pub fn release(&self, position: usize) {
        // The page is there, aligned and writable, so there is no other outcome.
        let _ = self.consumer.set_position(0, position);
    }

    /// The bytes of a record that was found and is not released yet.
    pub fn data(&self, place: Place) -> Result<&[u8], Corrupt> {
        let end = place.offset.saturating_add(place.len);
        let outside = Corrupt {
            position: place.after,
            what: "a record is outside the data",
        };
        self.producer.bytes(place.offset..end).ok_or(outside)
    }

    /// The next record and the position after it, in the simplest and most frequent of cases: it is
    /// complete, wanted, and as it should be. [`Self::find`] knows the others.
    #[inline]
    pub fn next(&self) -> Option<(&[u8], usize)> {
        let position = self.consumer.position(0)?;
        self.next_at(position, self.producer.position(0)?)
    }

    /// The same for who knows both positions.
    #[inline]
    pub fn next_at(&self, position: usize, producer: usize) -> Option<(&[u8], usize)> {
        let available = producer.wrapping_sub(position);
        if available > self.size || !position.is_multiple_of(8) {
            return None;
        }
        let start = self.page + (position & (self.size - 1));
        let header = self.producer.header(start)?;
        // A record with a flag is longer than any buffer.
        let len = header as usize;
        let whole = (len + 2 * HEADER - 1) & !(HEADER - 1);
        if whole > available {
            return None;
        }
        let data = start + HEADER;
        let data = self.producer.bytes(data..data + len)?;
        Some((data, position.wrapping_add(whole)))
    }

    /// The next complete record; those that were discarded are given back on the way.
    pub fn find(&self) -> Result<Option<Place>, Corrupt> {
        if let Some(place) = self.look()? {
            return Ok(Some(place));
        }
        // A program that commits looks at our position to decide whether to wake us. We have stored
        // it and then seen nothing: only with a full barrier in between does one see the other.
        M::fence();
        self.look()
    }

    fn look(&self) -> Result<Option<Place>, Corrupt> {
        let mut position = self.consumer_position();
        let producer = self.producer_position();
        // Each step goes on by 8 bytes or more, and from a start at most `size` bytes away.
        while position != producer {
            let corrupt = |what| Corrupt { position, what };
            let available = producer.wrapping_sub(position);
            if available > self.size || available < HEADER || !position.is_multiple_of(8) {
                return Err(corrupt("the two positions do not fit each other"));
            }
            let start = self
                .page
                .saturating_add(position & self.size.wrapping_sub(1));
            let header = self.producer.header(start);
            let header = header.ok_or_else(|| corrupt("a header is outside the data"))?;
            if header & BUSY != 0 {
                return Ok(None);
            }
            let len = (header & !(BUSY | DISCARD)) as usize;
            let whole = len.saturating_add(HEADER).checked_next_multiple_of(8);
            let whole = whole.filter(|whole| *whole <= available);
            let whole = whole.ok_or_else(|| corrupt("a record is longer than what was written"))?;
            let after = position.wrapping_add(whole);
            if header & DISCARD == 0 {
                return Ok(Some(Place {
                    offset: start.saturating_add(HEADER),
                    len,
                    after,
                }));
            }
            self.release(after);
            position = after;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use purebpf_syscall::{MapRequest, host::page_size};

    use super::*;
    use crate::layout::{Kernel, Layout};

    #[test]
    fn headers_are_laid_out_as_the_kernels() {
        let header = Layout {
            name: "a header",
            places: &["bpf_ringbuf_hdr"],
            fields: &[("len", 0, 4), ("pg_off", 4, HEADER - 4)],
        };
        Kernel::check(&[&header]);
    }

    const SIZE: usize = 4096;

    /// A file in the place of a map: `kernel` writes to what the reader has read-only.
    struct Fake {
        kernel: Mapping,
        pages: Pages,
    }

    impl Fake {
        fn new() -> Self {
            let page = page_size().unwrap();
            let name = format!(
                "purebpf-ring-{}-{:?}",
                std::process::id(),
                std::thread::current().id()
            );
            let path = std::env::temp_dir().join(name);
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
                .unwrap();
            std::fs::remove_file(&path).unwrap();
            let len = 2 * page + 2 * SIZE;
            file.set_len(len as u64).unwrap();
            let map = |offset: usize, len, writable| {
                let fd = Some(file.as_fd());
                let request = MapRequest {
                    fd,
                    offset: offset as u64,
                    len,
                    writable,
                    address: 0,
                };
                Mapping::new(&request).unwrap()
            };
            let consumer = map(0, page, true);
            let producer = map(page, len - page, false);
            let kernel = map(page, len - page, true);
            Self {
                kernel,
                pages: Pages {
                    consumer,
                    producer,
                    page,
                    size: SIZE,
                },
            }
        }

        fn header(&self, position: usize, header: u32) {
            self.kernel
                .store_release(self.pages.page + position % SIZE, header)
                .unwrap();
        }

        fn produced(&self, position: usize) {
            self.kernel.store_release(0, position).unwrap();
        }

        fn error(&self) -> &'static str {
            self.pages.find().unwrap_err().what
        }
    }

    #[test]
    fn records_are_found_in_order_and_discarded_ones_given_back() {
        let fake = Fake::new();
        fake.header(0, 5 | DISCARD);
        fake.header(16, 9);
        fake.header(40, 1 | BUSY);
        fake.produced(56);
        let place = fake.pages.find().unwrap().unwrap();
        assert_eq!((place.len, place.after), (9, 40));
        assert_eq!(fake.pages.data(place).unwrap().len(), 9);
        assert_eq!(fake.pages.consumer_position(), 16);
        fake.pages.release(place.after);
        assert_eq!(fake.pages.find(), Ok(None));
        assert_eq!(fake.pages.consumer_position(), 40);
    }

    #[test]
    fn record_at_the_end_goes_on_in_the_second_mapping() {
        let fake = Fake::new();
        let start = 3 * SIZE - 8;
        fake.pages.release(start);
        fake.header(start, 64);
        fake.produced(start + 72);
        let place = fake.pages.find().unwrap().unwrap();
        assert_eq!(fake.pages.data(place).unwrap().len(), 64);
    }

    #[test]
    fn positions_may_wrap_around() {
        let fake = Fake::new();
        let start = usize::MAX - 7;
        fake.pages.release(start);
        fake.header(start, 8);
        fake.produced(start.wrapping_add(16));
        assert_eq!(fake.pages.find().unwrap().unwrap().after, 8);
    }

    #[test]
    fn hostile_lengths_are_errors() {
        let fake = Fake::new();
        for header in [9, 4096, DISCARD | 9, !(BUSY | DISCARD), !BUSY] {
            fake.header(0, header);
            fake.produced(16);
            assert_eq!(
                fake.error(),
                "a record is longer than what was written",
                "{header:#x}"
            );
            assert_eq!(fake.pages.consumer_position(), 0);
        }
    }

    #[test]
    fn hostile_positions_are_errors() {
        let fake = Fake::new();
        for (consumer, producer) in [(0, SIZE + 8), (8, 0), (3, 19), (0, 4), (usize::MAX, 8)] {
            fake.pages.release(consumer);
            fake.produced(producer);
            assert_eq!(fake.error(), "the two positions do not fit each other");
        }
    }

    #[test]
    fn full_buffer_of_discarded_records_ends() {
        let fake = Fake::new();
        for position in (0..SIZE).step_by(8) {
            fake.header(position, DISCARD);
        }
        fake.produced(SIZE);
        assert_eq!(fake.pages.find(), Ok(None));
        assert_eq!(fake.pages.consumer_position(), SIZE);
    }
}
