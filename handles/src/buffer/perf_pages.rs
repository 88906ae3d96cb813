//! The memory of one CPU's perf buffer, and the search for records in it.
//!
//! A control page, where the kernel says how far it wrote and the reader how far it read, then the
//! data. Positions only grow; their lower bits are the offset in the data. A record may break at the
//! end of the data, unlike in a ring buffer.

use purebpf_syscall::Mapping;

use super::pages::Corrupt;

/// Bytes of a record's header: type (4), misc (2), size with the header (2).
pub(super) const HEADER: usize = 8;
/// Where `data_head` is in `struct perf_event_mmap_page`; `data_tail` follows.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// The pages of one buffer, mapped twice: records are given out of memory that nobody here writes.
#[derive(Debug)]
pub struct PerfPages {
    /// To tell how far the reader is.
    pub control: Mapping,
    /// The same pages, read-only.
    pub records: Mapping,
    /// Bytes of a page.
    pub page: usize,
    /// Bytes of data, a power of two.
    pub size: usize,
}

/// What the header of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerfHeader {
    /// `PERF_RECORD_*`.
    pub kind: u32,
    /// `PERF_RECORD_MISC_*`.
    pub misc: u16,
    /// Bytes after the header.
    len: usize,
    /// The position after the record.
    pub after: u64,
}

impl PerfHeader {
    /// Bytes with the header.
    #[inline]
    pub(super) const fn whole(&self) -> usize {
        self.len + HEADER
    }
}

/// A record that may break at the end of the data: where it begins, as a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerfPlace {
    /// Its header.
    pub header: PerfHeader,
    start: u64,
}

impl PerfPages {
    /// How far the kernel wrote.
    #[inline]
    pub fn head(&self) -> u64 {
        // The page is there and aligned, so there is no other outcome.
        self.records.load_acquire(HEAD).unwrap_or(0)
    }

    /// How far the reader is, from where it writes that.
    #[inline]
    pub fn tail(&self) -> u64 {
        self.control.load_acquire(TAIL).unwrap_or(0)
    }

    /// Gives back everything before `position`.
    #[inline]
    pub fn release(&self, position: u64) {
        // The page is there, aligned and writable, so there is no other outcome.
        let _ = self.control.store_release(TAIL, position);
    }

    /// The header at `position`, where so many bytes are written, or the rule that it breaks.
    #[inline]
    fn header(&self, position: u64, available: usize) -> Result<PerfHeader, &'static str> {
        // Records are multiples of 8 bytes, so that a header never breaks at the end. It is loaded
        // once: what is checked is what is used.
        let header = self.records.load_acquire::<u64>(self.offset(position));
        let header = header.ok_or("a header is outside the data")?;
        let [a, b, c, d, e, f, g, h] = header.to_ne_bytes();
        let whole = usize::from(u16::from_ne_bytes([g, h]));
        if whole < HEADER || whole > available {
            return Err("a record is longer than what was written");
        }
        if !whole.is_multiple_of(8) {
            return Err("a record is not a multiple of 8 bytes");
        }
        Ok(PerfHeader {
            kind: u32::from_ne_bytes([a, b, c, d]),
            misc: u16::from_ne_bytes([e, f]),
            len: whole - HEADER,
            after: position.wrapping_add(whole as u64),
        })
    }

    /// Bytes between two positions, if they fit each other.
    #[inline]
    pub fn available(&self, tail: u64, head: u64) -> Option<usize> {
        let available = usize::try_from(head.wrapping_sub(tail)).ok()?;
        (available <= self.size && available >= HEADER && tail.is_multiple_of(8))
            .then_some(available)
    }

    /// The record at `tail` and its data, where so many bytes are [`available`](Self::available), in
    /// the most frequent of cases: as it should be, and in one piece. [`Self::find`] knows the others.
    #[inline]
    pub fn next_at(&self, tail: u64, available: usize) -> Option<(PerfHeader, &[u8])> {
        let header = self.header(tail, available).ok()?;
        let data = self.offset(tail).checked_add(HEADER)?;
        // Nothing is mapped after the data, so that a record that breaks is not in it.
        let data = self.records.bytes(data..data.checked_add(header.len)?)?;
        Some((header, data))
    }

    /// The next record, wherever it is.
    pub fn find(&self) -> Result<Option<PerfPlace>, Corrupt> {
        let tail = self.tail();
        let head = self.head();
        if tail == head {
            return Ok(None);
        }
        let corrupt = |what| Corrupt {
            position: usize::try_from(tail).unwrap_or(usize::MAX),
            what,
        };
        let available = self.available(tail, head);
        let available =
            available.ok_or_else(|| corrupt("the two positions do not fit each other"))?;
        Ok(Some(PerfPlace {
            header: self.header(tail, available).map_err(corrupt)?,
            start: tail.wrapping_add(HEADER as u64),
        }))
    }

    /// Where a position is in the mapping.
    #[inline]
    fn offset(&self, position: u64) -> usize {
        // Only the lower bits count, whatever the width of a position. The sum is inside the mapping.
        self.page + (position as usize & (self.size - 1))
    }

    /// The bytes of a record that was found and is not released yet. One that breaks at the end of
    /// the data is put together in `spare`.
    pub fn data<'a>(
        &'a self,
        place: PerfPlace,
        spare: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Corrupt> {
        let outside = || Corrupt {
            position: usize::try_from(place.header.after).unwrap_or(usize::MAX),
            what: "a record is outside the data",
        };
        let start = self.offset(place.start);
        let end = self.page.saturating_add(self.size);
        let until = start.saturating_add(place.header.len);
        if until <= end {
            return self.records.bytes(start..until).ok_or_else(outside);
        }
        let rest = until.saturating_sub(end);
        let first = self.records.bytes(start..end).ok_or_else(outside)?;
        let second = self.page..self.page.saturating_add(rest);
        let second = self.records.bytes(second).ok_or_else(outside)?;
        spare.clear();
        spare.extend_from_slice(first);
        spare.extend_from_slice(second);
        Ok(spare)
    }
}

/// How far records are handled: the kernel is told now and then, and when this is dropped, however
/// that happens.
pub(super) struct Handled<'a> {
    pages: &'a PerfPages,
    position: u64,
    told: u64,
}

impl<'a> Handled<'a> {
    /// So many parts of the buffer are given back one by one.
    const PARTS: usize = 16;

    pub(super) fn new(pages: &'a PerfPages) -> Self {
        let tail = pages.tail();
        Self {
            pages,
            position: tail,
            told: tail,
        }
    }

    #[inline]
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Everything before `position` is handled.
    #[inline]
    pub(super) fn reach(&mut self, position: u64) {
        self.position = position;
        if self.position.wrapping_sub(self.told) >= (self.pages.size / Self::PARTS) as u64 {
            self.tell();
        }
    }

    pub(super) fn tell(&mut self) {
        self.pages.release(self.position);
        self.told = self.position;
    }
}

impl Drop for Handled<'_> {
    fn drop(&mut self) {
        self.tell();
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
    fn pages_and_headers_are_laid_out_as_the_kernels() {
        let page = Layout {
            name: "a control page",
            places: &["perf_event_mmap_page"],
            fields: &[("data_head", HEAD, 8), ("data_tail", TAIL, 8)],
        };
        let header = Layout {
            name: "a header",
            places: &["perf_event_header"],
            fields: &[("type", 0, 4), ("misc", 4, 2), ("size", 6, HEADER - 6)],
        };
        Kernel::check(&[&page, &header]);
    }

    const SIZE: usize = 4096;

    /// A file in the place of a perf event, which the kernel's side writes.
    struct Fake {
        kernel: Mapping,
        pages: PerfPages,
    }

    impl Fake {
        fn new() -> Self {
            let page = page_size().unwrap();
            let name = format!(
                "purebpf-perf-{}-{:?}",
                std::process::id(),
                std::thread::current().id()
            );
            let path = std::env::temp_dir().join(name);
            let mut options = File::options();
            let options = options.read(true).write(true).create_new(true);
            let file = options.open(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let len = page + SIZE;
            file.set_len(len as u64).unwrap();
            let map = |writable| {
                let request = MapRequest {
                    fd: Some(file.as_fd()),
                    offset: 0,
                    len,
                    writable,
                    address: 0,
                };
                Mapping::new(&request).unwrap()
            };
            Self {
                kernel: map(true),
                pages: PerfPages {
                    control: map(true),
                    records: map(false),
                    page,
                    size: SIZE,
                },
            }
        }

        fn record(&self, position: u64, kind: u32, size: u16) {
            let at = self.pages.offset(position);
            let mut header = [0; HEADER];
            header[..4].copy_from_slice(&kind.to_ne_bytes());
            header[6..].copy_from_slice(&size.to_ne_bytes());
            self.kernel.write(at, &header).unwrap();
        }

        fn positions(&self, tail: u64, head: u64) {
            self.kernel.store_release(TAIL, tail).unwrap();
            self.kernel.store_release(HEAD, head).unwrap();
        }

        fn error(&self) -> &'static str {
            self.pages.find().unwrap_err().what
        }
    }

    #[test]
    fn records_are_found_in_order() {
        let fake = Fake::new();
        fake.record(0, 9, 24);
        fake.record(24, 2, 16);
        fake.positions(0, 40);
        let first = fake.pages.find().unwrap().unwrap();
        let header = first.header;
        assert_eq!((header.kind, header.len, header.after), (9, 16, 24));
        fake.pages.release(header.after);
        let second = fake.pages.find().unwrap().unwrap();
        let header = second.header;
        assert_eq!((header.kind, header.len, header.after), (2, 8, 40));
        fake.pages.release(header.after);
        assert_eq!(fake.pages.find(), Ok(None));
    }

    #[test]
    fn a_record_that_breaks_at_the_end_is_put_together() {
        let fake = Fake::new();
        let start = 5 * SIZE as u64 - 16;
        fake.record(start, 9, 40);
        for (index, byte) in (0..32u8).enumerate() {
            let at = fake.pages.offset(start + 8 + index as u64);
            fake.kernel.write(at, &[byte]).unwrap();
        }
        fake.positions(start, start + 40);
        let place = fake.pages.find().unwrap().unwrap();
        let mut spare = Vec::new();
        let data = fake.pages.data(place, &mut spare).unwrap();
        assert_eq!(data, (0..32).collect::<Vec<u8>>());
    }

    #[test]
    fn hostile_headers_and_positions_are_errors() {
        let fake = Fake::new();
        for (tail, head) in [(0, SIZE as u64 + 8), (8, 0), (3, 19), (0, 4)] {
            fake.positions(tail, head);
            assert_eq!(fake.error(), "the two positions do not fit each other");
        }
        for size in [0, 7, 24, u16::MAX] {
            fake.record(0, 9, size);
            fake.positions(0, 16);
            assert_eq!(fake.error(), "a record is longer than what was written");
        }
        fake.record(0, 9, 12);
        assert_eq!(fake.error(), "a record is not a multiple of 8 bytes");
    }
}
