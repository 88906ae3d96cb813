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
        self.check_key(key)?;
        self.check_value(value, flags)?;
        self.present(
            self.kernel().lookup(key, value, flags.bits()),
            "look an element up",
        )
    }

    /// Writes an element.
    ///
    /// # Errors
    /// A key or value of the wrong size; `EEXIST`, `ENOENT` as the flags ask; `E2BIG` for a map that
    /// is full; and what the kernel says.
    #[doc(alias = "bpf_map__update_elem")]
    pub fn update(&self, key: &[u8], value: &[u8], flags: UpdateFlags) -> Result<(), Error> {
        self.check_key(key)?;
        self.check_value(value, flags)?;
        let result = self.kernel().update(key, value, flags.bits());
        result.map_err(Error::call(self, "update an element"))
    }

    /// Removes the element of `key`; whether there was one.
    ///
    /// # Errors
    /// A key of the wrong size, and what the kernel says (an array never lets go of an element).
    #[doc(alias = "bpf_map__delete_elem")]
    pub fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        self.check_key(key)?;
        self.present(self.kernel().delete(key, 0), "delete an element")
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
        self.check_key(key)?;
        self.check_value(value, flags)?;
        let taken = self.kernel().take(key, value, flags.bits());
        self.present(taken, "take an element")
    }

    pub(super) fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        Error::size(self, "the key", key.len(), self.key_size() as usize)
    }

    pub(super) fn check_value(&self, value: &[u8], flags: UpdateFlags) -> Result<(), Error> {
        if flags.contains(UpdateFlags::CPU | UpdateFlags::ALL_CPUS) {
            return Err(Error::invalid(
                self,
                "flags CPU and ALL_CPUS exclude each other",
            ));
        }
        let expected = self.shape().buffer_size_with(flags.bits());
        Error::size(self, "the value", value.len(), expected)
    }

    /// `ENOENT` as an answer, not an error.
    pub(super) fn present(
        &self,
        result: Result<(), CallError>,
        what: &'static str,
    ) -> Result<bool, Error> {
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Errno::ENOENT => Ok(false),
            Err(error) => Err(Error::call(self, what)(error)),
        }
    }
}
