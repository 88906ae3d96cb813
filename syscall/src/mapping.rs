//! Memory shared with the kernel, without a single `&` into it that could be wrong.
//!
//! # Safety
//! A [`Mapping`] owns `len` mapped bytes from `base` on, until it is dropped. Every access checks its
//! range, and is atomic, because programs in the kernel, other processes and other threads of this one
//! write there at the same time. The one exception is [`Mapping::bytes`], whose contract is written
//! there.
//!
//! What readers of buffers call for each record is inlined: they are in another crate, and a record
//! takes a few nanoseconds.

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicUsize};

use nix::errno::Errno;

use crate::CallError;

/// A mapped piece of memory.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
    writable: bool,
}

// SAFETY: the memory belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: every access is atomic, and is one that others may race with anyway.
unsafe impl Sync for Mapping {}

/// What to map.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest<'a> {
    /// The file, or `None` for fresh memory.
    pub fd: Option<BorrowedFd<'a>>,
    /// Where in the file, bytes, a multiple of the page size.
    pub offset: u64,
    /// Bytes.
    pub len: usize,
    /// For writing too.
    pub writable: bool,
    /// At this address; 0 for anywhere. Nothing that is there already is mapped over (4.17).
    pub address: u64,
}

/// An integer that is loaded and stored as one.
pub trait Word: sealed::Sealed + Copy {
    #[doc(hidden)]
    type Atomic: sealed::Atomic<Value = Self>;
}

mod sealed {
    pub trait Sealed {}

    pub trait Atomic {
        type Value;
        fn load_acquire(&self) -> Self::Value;
        fn store_release(&self, value: Self::Value);
        fn modify(&self, how: super::Modify, value: Self::Value) -> Self::Value;
        fn compare_exchange(
            &self,
            current: Self::Value,
            new: Self::Value,
        ) -> Result<Self::Value, Self::Value>;
    }
}

/// How an integer is changed in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modify {
    /// The value is added, and wraps around.
    Add,
    /// Bits that are not in the value are cleared.
    And,
    /// Bits that are in the value are set.
    Or,
    /// Bits that are in the value are turned over.
    Xor,
    /// The value takes its place.
    Swap,
}

macro_rules! word {
    ($word:ty, $atomic:ty) => {
        impl sealed::Sealed for $word {}

        impl Word for $word {
            type Atomic = $atomic;
        }

        impl sealed::Atomic for $atomic {
            type Value = $word;

            #[inline]
            fn load_acquire(&self) -> $word {
                self.load(Ordering::Acquire)
            }

            #[inline]
            fn store_release(&self, value: $word) {
                self.store(value, Ordering::Release);
            }

            // Programs order such operations with everything around them, so this side does as well.
            fn modify(&self, how: Modify, value: $word) -> $word {
                match how {
                    Modify::Add => self.fetch_add(value, Ordering::SeqCst),
                    Modify::And => self.fetch_and(value, Ordering::SeqCst),
                    Modify::Or => self.fetch_or(value, Ordering::SeqCst),
                    Modify::Xor => self.fetch_xor(value, Ordering::SeqCst),
                    Modify::Swap => self.swap(value, Ordering::SeqCst),
                }
            }

            fn compare_exchange(&self, current: $word, new: $word) -> Result<$word, $word> {
                Self::compare_exchange(self, current, new, Ordering::SeqCst, Ordering::SeqCst)
            }
        }
    };
}

/// The most bytes that are copied in one go.
#[cfg(target_has_atomic = "64")]
type Chunk = u64;
#[cfg(not(target_has_atomic = "64"))]
type Chunk = u32;
type AtomicChunk = <Chunk as Word>::Atomic;
const CHUNK: usize = size_of::<Chunk>();

word!(u32, AtomicU32);
word!(i32, AtomicI32);
word!(usize, AtomicUsize);
#[cfg(target_has_atomic = "64")]
word!(u64, std::sync::atomic::AtomicU64);
#[cfg(target_has_atomic = "64")]
word!(i64, std::sync::atomic::AtomicI64);

impl Mapping {
    /// Maps memory, shared with whoever else has the file.
    ///
    /// The file must be one that nobody makes shorter, such as a BPF map: touching what is no longer
    /// there ends the process with `SIGBUS`.
    ///
    /// # Errors
    /// `EPERM` for a writable mapping of a frozen map, `EEXIST` for an address that is taken, and
    /// what else `mmap` says.
    pub fn new(request: &MapRequest<'_>) -> Result<Self, CallError> {
        Self::map(request, libc::MAP_SHARED)
    }

    /// As [`Self::new`], but with changes of its own, which there are none of as long as it is read-only.
    pub(crate) fn private(request: &MapRequest<'_>) -> Result<Self, CallError> {
        Self::map(request, libc::MAP_PRIVATE)
    }

    fn map(request: &MapRequest<'_>, sharing: libc::c_int) -> Result<Self, CallError> {
        let invalid = || CallError::new("mmap", Errno::EINVAL);
        let offset = libc::off_t::try_from(request.offset).map_err(|_| invalid())?;
        let address = usize::try_from(request.address).map_err(|_| invalid())?;
        let protection = libc::PROT_READ
            | if request.writable {
                libc::PROT_WRITE
            } else {
                0
            };
        let mut flags = sharing;
        if request.fd.is_none() {
            flags |= libc::MAP_ANONYMOUS;
        }
        if address != 0 {
            flags |= libc::MAP_FIXED_NOREPLACE;
        }
        // SAFETY: a new mapping, which takes the place of no other.
        let base = unsafe {
            libc::mmap(
                std::ptr::without_provenance_mut(address),
                request.len,
                protection,
                flags,
                request.fd.map_or(-1, |fd| fd.as_raw_fd()),
                offset,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(CallError::last("mmap"));
        }
        let base = NonNull::new(base.cast()).ok_or_else(invalid)?;
        let mapping = Self {
            base,
            len: request.len,
            writable: request.writable,
        };
        // A kernel before 4.17 takes the address for a hint.
        if address != 0 && mapping.address() != request.address {
            return Err(CallError::new("mmap", Errno::EEXIST));
        }
        Ok(mapping)
    }

    /// Bytes mapped.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Never true: the kernel maps no empty range.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it can be written.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    /// Where it is in this process.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.base.as_ptr().addr() as u64
    }

    /// The address of `len` bytes at `offset`, if they are all inside.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> Option<*mut u8> {
        let end = offset.checked_add(len)?;
        // SAFETY: `offset <= end <= len`, so the result stays in the mapping or at its end.
        (end <= self.len).then(|| unsafe { self.base.as_ptr().add(offset) })
    }

    /// What `access` makes of the number at `offset`; `None` outside the mapping or unaligned.
    #[inline]
    fn with_word<W: Word, R>(
        &self,
        offset: usize,
        access: impl FnOnce(&W::Atomic) -> R,
    ) -> Option<R> {
        // The kernel maps whole pages, so that an aligned offset is an aligned address; that of a
        // word whose place never changes is known when this is compiled.
        if !offset.is_multiple_of(align_of::<W::Atomic>()) {
            return None;
        }
        let at = self.at(offset, size_of::<W::Atomic>())?;
        // SAFETY: inside the mapping, which lives as long as `self`, and aligned. All others in this
        // process go through atomics too.
        Some(access(unsafe { &*at.cast::<W::Atomic>() }))
    }

    /// As [`Self::with_word`], for changing it; `None` too if the mapping is read-only.
    #[inline]
    fn with_writable_word<W: Word, R>(
        &self,
        offset: usize,
        access: impl FnOnce(&W::Atomic) -> R,
    ) -> Option<R> {
        if !self.writable {
            return None;
        }
        self.with_word::<W, R>(offset, access)
    }

    /// Loads a number with acquire ordering; `None` outside the mapping or unaligned.
    #[inline]
    #[must_use]
    pub fn load_acquire<W: Word>(&self, offset: usize) -> Option<W> {
        use sealed::Atomic;
        self.with_word::<W, W>(offset, Atomic::load_acquire)
    }

    /// Stores a number with release ordering; `None` outside the mapping, unaligned or read-only.
    #[inline]
    #[must_use]
    pub fn store_release<W: Word>(&self, offset: usize, value: W) -> Option<()> {
        use sealed::Atomic;
        self.with_writable_word::<W, ()>(offset, |word| word.store_release(value))
    }

    /// Changes a number in one step, ordered with all that is around it, and returns what it was;
    /// `None` outside the mapping, unaligned or read-only.
    #[must_use]
    pub fn modify<W: Word>(&self, offset: usize, how: Modify, value: W) -> Option<W> {
        use sealed::Atomic;
        self.with_writable_word::<W, W>(offset, |word| word.modify(how, value))
    }

    /// Replaces a number if it is `current`, in one step; the result is what it was, an error if it
    /// was another. `None` as for [`Self::modify`].
    #[must_use]
    pub fn compare_exchange<W: Word>(
        &self,
        offset: usize,
        current: W,
        new: W,
    ) -> Option<Result<W, W>> {
        use sealed::Atomic;
        self.with_writable_word::<W, _>(offset, |word| word.compare_exchange(current, new))
    }

    /// Copies bytes out; `None` outside the mapping. Aligned 8 bytes are read in one go (4 on machines
    /// that cannot), and so are 4 if that is all, so that a counter is never half old.
    #[must_use]
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Option<()> {
        let from = self.at(offset, to.len())?;
        if let Ok(word) = <&mut [u8; 4]>::try_from(&mut *to)
            && from.cast::<u32>().is_aligned()
        {
            // SAFETY: four bytes that `at` found to be inside, and aligned.
            *word = unsafe { AtomicU32::from_ptr(from.cast()) }
                .load(Relaxed)
                .to_ne_bytes();
            return Some(());
        }
        let head = from.align_offset(CHUNK).min(to.len());
        let (head, rest) = to.split_at_mut_checked(head)?;
        let (middle, tail) = rest.as_chunks_mut::<CHUNK>();
        let mut at = from;
        let single = |at: *mut u8, byte: &mut u8| {
            // SAFETY: one of `to.len()` bytes that `at` found to be inside.
            *byte = unsafe { AtomicU8::from_ptr(at) }.load(Relaxed);
            at.wrapping_add(1)
        };
        for byte in head {
            at = single(at, byte);
        }
        for chunk in middle {
            // SAFETY: as above, a chunk of them, and aligned.
            *chunk = unsafe { AtomicChunk::from_ptr(at.cast()) }
                .load(Relaxed)
                .to_ne_bytes();
            at = at.wrapping_add(CHUNK);
        }
        for byte in tail {
            at = single(at, byte);
        }
        Some(())
    }

    /// Copies bytes in; `None` outside the mapping or if it is read-only. In one go as [`Self::read`].
    #[must_use]
    pub fn write(&self, offset: usize, from: &[u8]) -> Option<()> {
        let mut at = self.writable.then(|| self.at(offset, from.len()))??;
        if let Ok(word) = <[u8; 4]>::try_from(from)
            && at.cast::<u32>().is_aligned()
        {
            // SAFETY: four bytes that `at` found to be inside, writable and aligned.
            unsafe { AtomicU32::from_ptr(at.cast()) }.store(u32::from_ne_bytes(word), Relaxed);
            return Some(());
        }
        let head = at.align_offset(CHUNK).min(from.len());
        let (head, rest) = from.split_at_checked(head)?;
        let (middle, tail) = rest.as_chunks::<CHUNK>();
        let single = |at: *mut u8, byte: &u8| {
            // SAFETY: one of `from.len()` bytes that `at` found to be inside, and writable.
            unsafe { AtomicU8::from_ptr(at) }.store(*byte, Relaxed);
            at.wrapping_add(1)
        };
        for byte in head {
            at = single(at, byte);
        }
        for chunk in middle {
            // SAFETY: as above, a chunk of them, and aligned.
            let to = unsafe { AtomicChunk::from_ptr(at.cast()) };
            to.store(Chunk::from_ne_bytes(*chunk), Relaxed);
            at = at.wrapping_add(CHUNK);
        }
        for byte in tail {
            at = single(at, byte);
        }
        Some(())
    }

    /// The bytes themselves; `None` outside the mapping, or if it is writable here.
    ///
    /// For what the other side has given away: a record of a ring buffer, from the moment its header
    /// was loaded with acquire ordering to the moment the consumer position is stored with release
    /// ordering, or a file that never changes. The verifier lets no program write to a record that
    /// it has submitted. Use [`Self::read`] for everything else.
    #[inline]
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        if self.writable {
            return None;
        }
        let len = range.end.checked_sub(range.start)?;
        let from = self.at(range.start, len)?;
        // SAFETY: inside the mapping, which lives as long as `self`; unchanging by the contract
        // above, and no code of this process can write through a mapping that is not writable.
        Some(unsafe { std::slice::from_raw_parts(from, len) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing borrows from it any more. The call can only fail for
        // a range that was never mapped.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of this process, which is all that Miri has; read-only in name.
    fn fresh(writable: bool) -> Mapping {
        let request = MapRequest {
            fd: None,
            offset: 0,
            len: 4096,
            writable: true,
            address: 0,
        };
        let mut memory = Mapping::private(&request).unwrap();
        memory.writable = writable;
        memory
    }

    #[test]
    fn words_stay_inside_and_aligned() {
        let memory = fresh(true);
        assert_eq!(memory.store_release(8, 0x0102_0304_0506_0708_u64), Some(()));
        assert_eq!(memory.load_acquire::<u64>(8), Some(0x0102_0304_0506_0708));
        assert_eq!(memory.load_acquire::<u64>(4), None);
        assert_eq!(memory.load_acquire::<u32>(4096), None);
        assert_eq!(memory.load_acquire::<u32>(usize::MAX - 3), None);
        assert_eq!(memory.store_release(4092, 1_u32), Some(()));
        assert_eq!(memory.store_release(4096, 1_u32), None);
    }

    #[test]
    fn copies_of_every_alignment_match() {
        let memory = fresh(true);
        let pattern: Vec<u8> = (0..64).collect();
        for start in 0..9 {
            for len in 0..24 {
                assert_eq!(memory.write(start, &pattern[..len]), Some(()));
                let mut back = vec![0xff; len];
                assert_eq!(memory.read(start, &mut back), Some(()));
                assert_eq!(back, pattern[..len]);
            }
        }
        assert_eq!(memory.write(4090, &pattern[..7]), None);
        assert_eq!(memory.read(4090, &mut [0; 7]), None);
    }

    #[test]
    fn threads_see_numbers_whole_and_lose_no_change() {
        const CHANGES: u64 = if cfg!(miri) { 50 } else { 5000 };
        let memory = fresh(true);
        std::thread::scope(|scope| {
            for thread in 1..3_u8 {
                let memory = &memory;
                scope.spawn(move || {
                    for _ in 0..CHANGES {
                        memory.write(8, &[thread; 8]).unwrap();
                        memory.write(16, &[thread; 4]).unwrap();
                        let (mut long, mut short) = ([0; 8], [0; 4]);
                        memory.read(8, &mut long).unwrap();
                        memory.read(16, &mut short).unwrap();
                        assert!(long == [long[0]; 8] && short == [short[0]; 4]);
                        memory.modify(24, Modify::Add, 1_u32).unwrap();
                    }
                });
            }
        });
        assert_eq!(memory.load_acquire::<u32>(24), Some(2 * CHANGES as u32));
    }

    #[test]
    fn bytes_are_of_read_only_mappings_only() {
        assert_eq!(fresh(true).bytes(0..8), None);
        let memory = fresh(false);
        assert_eq!(memory.bytes(4088..4096), Some(&[0; 8][..]));
        assert_eq!(memory.bytes(4088..4097), None);
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
        let reversed = memory.bytes(8..0);
        assert_eq!(reversed, None);
        assert_eq!(memory.store_release(0, 1_u32), None);
        assert_eq!(memory.write(0, &[1]), None);
    }

    #[test]
    fn an_address_that_is_taken_is_refused() {
        let memory = fresh(true);
        let request = MapRequest {
            fd: None,
            offset: 0,
            len: 4096,
            writable: true,
            address: memory.address(),
        };
        assert_eq!(Mapping::new(&request).unwrap_err().errno(), Errno::EEXIST);
    }
}
