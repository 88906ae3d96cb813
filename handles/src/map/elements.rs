//! Elements as bytes.

use purebpf_syscall::{CallError, Errno, is_per_cpu};

use super::Map;
use crate::Error;

bitflags::bitflags! {
    /// How an element is accessed.
    #[doc(alias = "BPF_ANY")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct UpdateFlags: u64 {
        /// Create or replace.
        const ANY = 0;
        /// Create only (`BPF_NOEXIST`).
        const NOEXIST = 1;
        /// Replace only (`BPF_EXIST`).
        const EXIST = 2;
        /// Under the `bpf_spin_lock` in the value (`BPF_F_LOCK`, 5.1).
        const LOCK = 4;
        /// The value of one CPU, see [`Self::cpu`] (`BPF_F_CPU`).
        const CPU = 8;
        /// One value for all CPUs (`BPF_F_ALL_CPUS`).
        const ALL_CPUS = 16;
        const _ = !0;
    }
}

impl UpdateFlags {
    /// The value of one CPU only: such a call takes and gives the value of that CPU alone.
    #[must_use]
    pub const fn cpu(number: u32) -> Self {
        Self::from_bits_retain(Self::CPU.bits() | (number as u64) << 32)
    }
}

impl Map {
    /// Bytes of a value as it goes through these calls: [`Map::value_size`], or for a per-CPU map
    /// that of each possible CPU, padded to a multiple of 8, one after the other.
    #[must_use]
    pub fn buffer_size(&self) -> usize {
        self.shape().buffer_size
    }

    /// Whether each CPU has a value of its own.
    #[must_use]
    pub fn is_per_cpu(&self) -> bool {
        is_per_cpu(self.map_type())
    }

    /// The value of `key`, a copy; `None` if there is no such element. A queue or stack, which has
    /// no keys, is asked with an empty one for its next value.
    ///
    /// # Errors
    /// A key of the wrong size, and what the kernel says.
    #[doc(alias = "bpf_map__lookup_elem")]
    #[doc(alias = "bpf_map_lookup_elem_flags")]
    pub fn lookup(&self, key: &[u8], flags: UpdateFlags) -> Result<Option<Vec<u8>>, Error> {
        let mut value = vec![0; self.shape().buffer_size_with(flags.bits())];
        Ok(self.lookup_into(key, &mut value, flags)?.then_some(value))
    }

    /// Reads the value of `key` into `value`; whether there is such an element. A bloom filter,
    /// which has no keys either, is asked whether it may hold `value`.
    ///
    /// # Errors
    /// A key or value of the wrong size, and what the kernel says.
    pub fn lookup_into(
        &self,
        key: &[u8],
        value: &mut [u8],
        flags: UpdateFlags,
    ) -> Result<bool, Error> {
        let found = self.kernel().lookup(key, value, flags.bits());
        self.present(found, "look an element up", || (key, Some(value), flags))
    }

    /// Writes an element.
    ///
    /// # Errors
    /// A key or value of the wrong size; `EEXIST`, `ENOENT` as the flags ask; `E2BIG` for a map that
    /// is full; and what the kernel says.
    #[doc(alias = "bpf_map__update_elem")]
    pub fn update(&self, key: &[u8], value: &[u8], flags: UpdateFlags) -> Result<(), Error> {
        match self.kernel().update(key, value, flags.bits()) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.refused(error, "update an element", key, Some(value), flags)),
        }
    }

    /// Removes the element of `key`; whether there was one.
    ///
    /// # Errors
    /// A key of the wrong size, and what the kernel says (an array never lets go of an element).
    #[doc(alias = "bpf_map__delete_elem")]
    pub fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        let deleted = self.kernel().delete(key, 0);
        self.present(deleted, "delete an element", || {
            (key, None, UpdateFlags::ANY)
        })
    }

    /// Removes the element of `key` and returns its value: for queues and stacks since 4.20, for
    /// hash maps since 5.14.
    ///
    /// # Errors
    /// A key of the wrong size, and what the kernel says.
    #[doc(alias = "bpf_map__lookup_and_delete_elem")]
    pub fn lookup_and_delete(
        &self,
        key: &[u8],
        flags: UpdateFlags,
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut value = vec![0; self.shape().buffer_size_with(flags.bits())];
        Ok(self
            .lookup_and_delete_into(key, &mut value, flags)?
            .then_some(value))
    }

    /// As [`Self::lookup_and_delete`], into `value`; whether there was such an element.
    ///
    /// # Errors
    /// A key or value of the wrong size, and what the kernel says.
    pub fn lookup_and_delete_into(
        &self,
        key: &[u8],
        value: &mut [u8],
        flags: UpdateFlags,
    ) -> Result<bool, Error> {
        let taken = self.kernel().take(key, value, flags.bits());
        self.present(taken, "take an element", || (key, Some(value), flags))
    }

    /// `ENOENT` as an answer, not an error; `given` are key, value and flags of the call.
    #[inline]
    pub(super) fn present<'a>(
        &self,
        result: Result<(), CallError>,
        operation: &'static str,
        given: impl FnOnce() -> (&'a [u8], Option<&'a mut [u8]>, UpdateFlags),
    ) -> Result<bool, Error> {
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Errno::ENOENT as i32 => Ok(false),
            Err(error) => {
                let (key, value, flags) = given();
                Err(self.refused(error, operation, key, value.as_deref(), flags))
            }
        }
    }

    /// Why a call did not work. One with a key or value of the wrong size never reached the kernel; what
    /// is wrong is looked for only then, so that a call that works costs nothing more.
    #[cold]
    fn refused(
        &self,
        error: CallError,
        operation: &'static str,
        key: &[u8],
        value: Option<&[u8]>,
        flags: UpdateFlags,
    ) -> Error {
        let sizes = || {
            if flags.contains(UpdateFlags::CPU | UpdateFlags::ALL_CPUS) {
                let what = "flags CPU and ALL_CPUS exclude each other";
                return Err(Error::invalid(self, what));
            }
            Error::size(self, "the key", key.len(), self.key_size() as usize)?;
            let expected = self.shape().buffer_size_with(flags.bits());
            value.map_or(Ok(()), |value| {
                Error::size(self, "the value", value.len(), expected)
            })
        };
        match sizes() {
            Ok(()) => Error::call(self, operation)(error),
            Err(wrong) => wrong,
        }
    }
}
