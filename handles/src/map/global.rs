//! A variable of a loaded object, shared with its programs.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};
use purebpf_syscall::{Modify, Word};

use super::Memory;
use crate::Error;

/// A variable in shared memory: a map of variables, an array with
/// [`MapFlags::MMAPABLE`](purebpf_insn::MapFlags::MMAPABLE), or an arena. No system call to get or set
/// it. A clone is the same variable; it outlives the object that it came from.
///
/// Programs and other processes change it at any time, so that there is no reference to it: values
/// are copied out and in. One of 4 or 8 bytes is never seen half changed; of a larger one that
/// programs write at the same time, parts may be old and parts new.
///
/// `T` is plain data: programs may write any bits, and every byte of it is written here.
///
/// ```no_run
/// # use purebpf_handles::{Error, Memory};
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Limits {
///     bytes: u64,
///     packets: u64,
/// }
///
/// # fn limits(memory: &Memory) -> Result<u64, Error> {
/// Ok(memory.global::<Limits>(0, "limits")?.get().bytes)
/// # }
/// ```
///
/// So it is no `bool`, which has other bits than those of its values,
///
/// ```compile_fail,E0277
/// # use purebpf_handles::{Error, Memory};
/// # fn flag(memory: &Memory) -> Result<bool, Error> {
/// Ok(memory.global::<bool>(0, "flag")?.get())
/// # }
/// ```
///
/// and no struct with padding:
///
/// ```compile_fail
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Limits {
///     on: u8,
///     bytes: u64,
/// }
/// ```
pub struct Global<T> {
    memory: Memory,
    offset: usize,
    name: Arc<str>,
    ty: PhantomData<fn(T) -> T>,
}

impl Memory {
    /// The variable at `offset`, by a name of one's own.
    ///
    /// # Errors
    /// An offset from which on `T` does not fit.
    pub fn global<T: AnyBitPattern + NoUninit>(
        &self,
        offset: usize,
        name: &str,
    ) -> Result<Global<T>, Error> {
        self.check(offset, size_of::<T>())?;
        Ok(Global {
            memory: self.clone(),
            offset,
            name: name.into(),
            ty: PhantomData,
        })
    }
}

impl<T> Global<T> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The memory that it is in.
    #[must_use]
    pub const fn as_memory(&self) -> &Memory {
        &self.memory
    }
}

impl<T: AnyBitPattern + NoUninit> Global<T> {
    /// Its value now.
    #[must_use]
    pub fn get(&self) -> T {
        // The place was checked when the variable was made.
        self.memory.get(self.offset).unwrap_or_else(|_| T::zeroed())
    }

    /// Sets it.
    ///
    /// # Errors
    /// A constant, whose memory is read-only.
    pub fn set(&self, value: T) -> Result<(), Error> {
        self.memory.set(self.offset, &value)
    }
}

/// What programs see as one step; each is ordered with all that is around it.
impl<W: Word> Global<W> {
    fn modify(&self, how: Modify, value: W) -> Result<W, Error> {
        self.memory.modify(self.offset, how, value)
    }

    /// Adds to it, wrapping around, and returns what it was.
    ///
    /// # Errors
    /// A constant, or a variable that is not aligned.
    pub fn fetch_add(&self, value: W) -> Result<W, Error> {
        self.modify(Modify::Add, value)
    }

    /// Clears the bits that are not in `value`, and returns what it was.
    ///
    /// # Errors
    /// As [`Self::fetch_add`].
    pub fn fetch_and(&self, value: W) -> Result<W, Error> {
        self.modify(Modify::And, value)
    }

    /// Sets the bits that are in `value`, and returns what it was.
    ///
    /// # Errors
    /// As [`Self::fetch_add`].
    pub fn fetch_or(&self, value: W) -> Result<W, Error> {
        self.modify(Modify::Or, value)
    }

    /// Turns over the bits that are in `value`, and returns what it was.
    ///
    /// # Errors
    /// As [`Self::fetch_add`].
    pub fn fetch_xor(&self, value: W) -> Result<W, Error> {
        self.modify(Modify::Xor, value)
    }

    /// Sets it, and returns what it was.
    ///
    /// # Errors
    /// As [`Self::fetch_add`].
    pub fn swap(&self, value: W) -> Result<W, Error> {
        self.modify(Modify::Swap, value)
    }

    /// Sets it to `new` if it is `current`. Returns what it was: within `Err` if it was another.
    ///
    /// # Errors
    /// As [`Self::fetch_add`], around.
    pub fn compare_exchange(&self, current: W, new: W) -> Result<Result<W, W>, Error> {
        self.memory.compare_exchange(self.offset, current, new)
    }
}

impl<T> Clone for Global<T> {
    fn clone(&self) -> Self {
        Self {
            memory: self.memory.clone(),
            offset: self.offset,
            name: Arc::clone(&self.name),
            ty: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Global<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Global")
            .field("name", &self.name)
            .field("map", &self.memory.as_map().name())
            .field("offset", &self.offset)
            .field("size", &size_of::<T>())
            .finish()
    }
}
