//! Elements of which each CPU has a value of its own.
//!
//! The kernel passes the values of all possible CPUs in one piece, each padded to a multiple of 8.

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
