//! The value of an array as memory that user space and programs share.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit, bytes_of_mut};
use purebpf_insn::{MapFlags, MapType};
use purebpf_syscall::{Errno, MapRequest, Mapping, Modify, Word, host::page_size};

use super::Map;
use crate::Error;

/// The memory of a map created with [`MapFlags::MMAPABLE`], or of an arena: no system call to read
/// or write. A clone is the same memory; it is unmapped with the last one.
///
/// Programs and other processes write there at any time, so bytes are copied out and in.
#[derive(Clone)]
pub struct Memory {
    mapping: Arc<Mapping>,
    map: Map,
    len: usize,
}

impl Map {
    /// Maps its memory (5.5): for writing, or for reading alone once the map is frozen. While it is
    /// mapped for writing it cannot be frozen.
    ///
    /// # Errors
    /// A map that is neither an array with [`MapFlags::MMAPABLE`] nor an arena, and what the kernel
    /// says.
    #[doc(alias = "bpf_map__initial_value")]
    pub fn memory(&self) -> Result<Memory, Error> {
        match self.map_memory(true) {
            Err(error) if error.is_errno(Errno::EPERM) || error.is_errno(Errno::EACCES) => {
                self.map_memory(false)
            }
            result => result,
        }
    }

    fn map_memory(&self, writable: bool) -> Result<Memory, Error> {
        let failed = |error| Error::call(self, "map its memory")(error);
        let page = page_size().map_err(failed)?;
        let entries = self.max_entries() as usize;
        let (size, address) = match self.map_type() {
            MapType::ARENA => (page, self.map_extra()),
            MapType::ARRAY if self.flags().contains(MapFlags::MMAPABLE) => {
                ((self.value_size() as usize).next_multiple_of(8), 0)
            }
            other => {
                let expected = "an array with flag MMAPABLE, or an arena";
                return Err(Error::mismatch(self, "its type", other, expected));
            }
        };
        let len = entries.checked_mul(size);
        let whole = len.and_then(|len| len.checked_next_multiple_of(page));
        let (Some(len), Some(whole)) = (len, whole) else {
            return Err(Error::invalid(self, "it is larger than the address space"));
        };
        let fd = Some(self.as_fd());
        let request = MapRequest {
            fd,
            offset: 0,
            len: whole,
            writable,
            address,
        };
        let map = || Mapping::new(&request).map_err(failed);
        let mapping = match self.map_type() {
            // One whose address is given is mapped there, and only as long as somebody needs it.
            MapType::ARENA if address == 0 => self.arena(map)?,
            _ => self.mapped(writable, map)?,
        };
        Ok(Memory {
            mapping,
            map: self.clone(),
            len,
        })
    }
}

impl Memory {
    /// Bytes: all elements, each padded to a multiple of 8.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it can be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.mapping.is_writable()
    }

    /// Where it is in this process; an arena is at the same address for programs.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.mapping.address()
    }

    /// The map whose memory it is.
    #[must_use]
    pub const fn as_map(&self) -> &Map {
        &self.map
    }

    /// Copies bytes out, from `offset` on. Eight aligned bytes are read in one go.
    ///
    /// # Errors
    /// Bytes that are not there.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        self.check(offset, to.len())?;
        self.mapping.read(offset, to).ok_or_else(|| self.outside())
    }

    /// Copies bytes in, from `offset` on. Eight aligned bytes are written in one go.
    ///
    /// # Errors
    /// Bytes that are not there, or memory that is read-only.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.check(offset, from.len())?;
        self.require_writable()?;
        self.mapping
            .write(offset, from)
            .ok_or_else(|| self.outside())
    }

    /// The value at `offset`.
    ///
    /// # Errors
    /// Bytes that are not there.
    pub fn get<T: AnyBitPattern + NoUninit>(&self, offset: usize) -> Result<T, Error> {
        let mut value = T::zeroed();
        self.read(offset, bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Replaces the value at `offset`.
    ///
    /// # Errors
    /// Bytes that are not there, or memory that is read-only.
    pub fn set<T: NoUninit>(&self, offset: usize, value: &T) -> Result<(), Error> {
        self.write(offset, bytemuck::bytes_of(value))
    }

    /// Loads an integer with acquire ordering: what a program stored before it, is seen after it.
    ///
    /// # Errors
    /// An offset outside, or not a multiple of the integer's size.
    pub fn load<W: Word>(&self, offset: usize) -> Result<W, Error> {
        self.mapping
            .load_acquire(offset)
            .ok_or_else(|| self.outside())
    }

    /// Stores an integer with release ordering: what was written before it, a program sees with it.
    ///
    /// # Errors
    /// An offset outside, or not a multiple of the integer's size; memory that is read-only.
    pub fn store<W: Word>(&self, offset: usize, value: W) -> Result<(), Error> {
        self.require_writable()?;
        self.mapping
            .store_release(offset, value)
            .ok_or_else(|| self.outside())
    }

    /// Changes an integer in one step, and returns what it was.
    ///
    /// # Errors
    /// An offset outside, or not a multiple of the integer's size; memory that is read-only.
    pub fn modify<W: Word>(&self, offset: usize, how: Modify, value: W) -> Result<W, Error> {
        self.require_writable()?;
        let old = self.mapping.modify(offset, how, value);
        old.ok_or_else(|| self.outside())
    }

    /// Replaces an integer if it is `current`, in one step. Returns what it was: within `Err` if it
    /// was another.
    ///
    /// # Errors
    /// As [`Self::modify`], around.
    pub fn compare_exchange<W: Word>(
        &self,
        offset: usize,
        current: W,
        new: W,
    ) -> Result<Result<W, W>, Error> {
        self.require_writable()?;
        let old = self.mapping.compare_exchange(offset, current, new);
        old.ok_or_else(|| self.outside())
    }

    pub(super) fn check(&self, offset: usize, len: usize) -> Result<(), Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(self.outside()),
        }
    }

    fn outside(&self) -> Error {
        Error::invalid(&self.map, "the offset is outside its memory, or unaligned")
    }

    fn require_writable(&self) -> Result<(), Error> {
        if self.is_writable() {
            Ok(())
        } else {
            Err(Error::invalid(
                &self.map,
                "its memory is read-only, it is frozen",
            ))
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("map", &self.map.name())
            .field("len", &self.len)
            .field("writable", &self.is_writable())
            .finish_non_exhaustive()
    }
}
