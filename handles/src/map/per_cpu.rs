//! Elements of which each CPU has a value of its own.
//!
//! The kernel passes the values of all possible CPUs in one piece, each padded to a multiple of 8. From 7.0
//! on it can be asked for one CPU's alone.

use purebpf_syscall::{Errno, host::possible_cpus};

use super::{Map, UpdateFlags};
use crate::Error;

impl Map {
    /// The values of `key`, one for each possible CPU, by number; `None` if there is no such element.
    ///
    /// # Errors
    /// A map that is not per-CPU, a key of the wrong size, and what the kernel says.
    pub fn lookup_per_cpu(
        &self,
        key: &[u8],
        flags: UpdateFlags,
    ) -> Result<Option<Vec<Vec<u8>>>, Error> {
        self.require_per_cpu()?;
        let Some(values) = self.lookup(key, flags)? else {
            return Ok(None);
        };
        Ok(Some(
            split(&values, self.value_size() as usize)
                .map(<[u8]>::to_vec)
                .collect(),
        ))
    }

    /// Writes the values of `key`, one for each possible CPU.
    ///
    /// # Errors
    /// A map that is not per-CPU, a wrong number of values, a key or value of the wrong size, and
    /// what the kernel says.
    pub fn update_per_cpu(
        &self,
        key: &[u8],
        values: &[impl AsRef<[u8]>],
        flags: UpdateFlags,
    ) -> Result<(), Error> {
        self.require_per_cpu()?;
        let size = self.value_size() as usize;
        let mut buffer = Vec::with_capacity(self.buffer_size());
        for value in values.iter().map(AsRef::as_ref) {
            Error::size(self, "the value of a CPU", value.len(), size)?;
            buffer.extend_from_slice(value);
            buffer.resize(buffer.len().next_multiple_of(8), 0);
        }
        self.update(key, &buffer, flags)
    }

    /// The value of `key` for one CPU; `None` if there is no such element. Before Linux 7.0 all CPUs'
    /// are read, and this one taken.
    ///
    /// # Errors
    /// A map that is not per-CPU, a key of the wrong size, a CPU that is not possible, and what the
    /// kernel says.
    pub fn lookup_cpu(&self, key: &[u8], cpu: u32) -> Result<Option<Vec<u8>>, Error> {
        let mut value = vec![0; self.value_size() as usize];
        Ok(self.lookup_cpu_into(key, cpu, &mut value)?.then_some(value))
    }

    /// As [`Self::lookup_cpu`], into `value`; whether there is such an element. From Linux 7.0 on
    /// without an allocation.
    ///
    /// # Errors
    /// As [`Self::lookup_cpu`], and a value of the wrong size.
    pub fn lookup_cpu_into(&self, key: &[u8], cpu: u32, value: &mut [u8]) -> Result<bool, Error> {
        self.require_cpu(cpu)?;
        if !self.lacks_cpu_flags() {
            match self.lookup_into(key, value, UpdateFlags::cpu(cpu)) {
                Err(error) if error.is_errno(Errno::EINVAL) => {}
                result => return result,
            }
        }
        let size = self.value_size() as usize;
        Error::size(self, "the value of a CPU", value.len(), size)?;
        let Some(all) = self.lookup(key, UpdateFlags::ANY)? else {
            return Ok(false);
        };
        self.set_lacks_cpu_flags();
        if let Some(found) = split(&all, size).nth(cpu as usize) {
            value.copy_from_slice(found);
        }
        Ok(true)
    }

    /// Writes the value of `key` for one CPU and leaves those of the others alone (7.0); they are zero
    /// in a new element.
    ///
    /// # Errors
    /// A map that is not per-CPU, a key or value of the wrong size, a CPU that is not possible;
    /// `EINVAL` before Linux 7.0, where only all can be written at once ([`Self::update_per_cpu`]).
    pub fn update_cpu(&self, key: &[u8], cpu: u32, value: &[u8]) -> Result<(), Error> {
        self.require_cpu(cpu)?;
        self.update(key, value, UpdateFlags::cpu(cpu))
    }

    /// Writes the same value of `key` for every CPU. Before Linux 7.0 they are given one by one in
    /// the same call, which comes to the same.
    ///
    /// # Errors
    /// A map that is not per-CPU, a key or value of the wrong size, and what the kernel says.
    pub fn update_all_cpus(
        &self,
        key: &[u8],
        value: &[u8],
        flags: UpdateFlags,
    ) -> Result<(), Error> {
        self.require_per_cpu()?;
        if !self.lacks_cpu_flags() {
            match self.update(key, value, flags | UpdateFlags::ALL_CPUS) {
                Err(error) if error.is_errno(Errno::EINVAL) => {}
                result => return result,
            }
        }
        let cpus = possible_cpus().map_err(Error::call(self, "count CPUs"))?;
        self.update_per_cpu(key, &vec![value; cpus], flags)?;
        self.set_lacks_cpu_flags();
        Ok(())
    }

    fn require_cpu(&self, cpu: u32) -> Result<(), Error> {
        self.require_per_cpu()?;
        let cpus = possible_cpus().map_err(Error::call(self, "count CPUs"))?;
        if (cpu as usize) < cpus {
            Ok(())
        } else {
            Err(Error::mismatch(
                self,
                "the number of the CPU",
                cpu,
                format_args!("less than {cpus}"),
            ))
        }
    }

    pub(super) fn require_per_cpu(&self) -> Result<(), Error> {
        if self.is_per_cpu() {
            Ok(())
        } else {
            Err(Error::mismatch(
                self,
                "its type",
                self.map_type(),
                "a per-CPU one",
            ))
        }
    }
}

/// The values in a buffer of the kernel, without the padding.
pub(super) fn split(buffer: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    let padded = size.next_multiple_of(8).max(8);
    buffer
        .chunks_exact(padded)
        .filter_map(move |chunk| chunk.get(..size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_drops_the_padding() {
        let buffer: Vec<u8> = (0..32).collect();
        let values: Vec<_> = split(&buffer, 12).collect();
        assert_eq!(values, [&buffer[..12], &buffer[16..28]]);
        assert_eq!(split(&buffer, 8).count(), 4);
        assert_eq!(split(&[], 0).count(), 0);
    }
}
