//! Many elements in one call (5.6).

use purebpf_syscall::{BatchCursor, BatchOutcome, Errno};

use super::{Map, UpdateFlags};
use crate::Error;

/// Elements that one call brought: keys one after the other, values one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Keys, each [`Map::key_size`] bytes.
    pub keys: Vec<u8>,
    /// Values, each [`Map::buffer_size`] bytes.
    pub values: Vec<u8>,
    /// How many elements these are.
    pub count: usize,
}

/// A walk through a map by batches, see [`Map::batches`].
#[derive(Clone, Debug)]
pub struct Batches {
    map: Map,
    cursor: BatchCursor,
    room: usize,
    delete: bool,
    done: bool,
}

impl Map {
    /// All elements, `room` at most in a batch (more, if the kernel cannot do with so few). An error
    /// is the last item: `EINVAL` from kernels and map types without batches.
    #[doc(alias = "bpf_map_lookup_batch")]
    #[must_use]
    pub fn batches(&self, room: usize) -> Batches {
        self.batches_of(room, false)
    }

    /// As [`Self::batches`], but each element is removed as it is read.
    #[doc(alias = "bpf_map_lookup_and_delete_batch")]
    #[must_use]
    pub fn drain_batches(&self, room: usize) -> Batches {
        self.batches_of(room, true)
    }

    fn batches_of(&self, room: usize, delete: bool) -> Batches {
        let room = room.clamp(1, (self.max_entries() as usize).max(1));
        Batches {
            map: self.clone(),
            cursor: BatchCursor::default(),
            room,
            delete,
            done: false,
        }
    }

    /// Writes elements given as keys one after the other and values one after the other.
    ///
    /// # Errors
    /// Lengths that do not match, and what the kernel says; it may have got through a part then.
    #[doc(alias = "bpf_map_update_batch")]
    pub fn update_batch(
        &self,
        keys: &[u8],
        values: &[u8],
        flags: UpdateFlags,
    ) -> Result<(), Error> {
        let count = self.batch_count(keys)?;
        Error::size(
            self,
            "the values",
            values.len(),
            count.saturating_mul(self.buffer_size()),
        )?;
        let outcome = self.kernel().update_batch(keys, values, flags.bits());
        outcome.result.map_err(Error::call(self, "update elements"))
    }

    /// Removes elements given as keys one after the other.
    ///
    /// # Errors
    /// A length that does not match, and what the kernel says; it may have got through a part then.
    #[doc(alias = "bpf_map_delete_batch")]
    pub fn delete_batch(&self, keys: &[u8]) -> Result<(), Error> {
        self.batch_count(keys)?;
        let outcome = self.kernel().delete_batch(keys, 0);
        outcome.result.map_err(Error::call(self, "delete elements"))
    }

    fn batch_count(&self, keys: &[u8]) -> Result<usize, Error> {
        let size = self.key_size() as usize;
        let count = keys.len().checked_div(size).unwrap_or(0);
        Error::size(self, "the keys", keys.len(), count.saturating_mul(size))?;
        Ok(count)
    }
}

impl Batches {
    fn step(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            let (key_size, value_size) = (self.map.key_size() as usize, self.map.buffer_size());
            let mut keys = vec![0; self.room.saturating_mul(key_size)];
            let mut values = vec![0; self.room.saturating_mul(value_size)];
            let BatchOutcome { count, result } = self.map.kernel().lookup_batch(
                &mut self.cursor,
                &mut keys,
                &mut values,
                0,
                self.delete,
            );
            match result {
                Ok(()) => {}
                Err(error) if error.errno() == Errno::ENOENT => self.done = true,
                // A bucket of the hash table is longer than that, and it comes whole or not at all.
                Err(error)
                    if error.errno() == Errno::ENOSPC
                        && self.room < self.map.max_entries() as usize =>
                {
                    self.room = self.room.saturating_mul(2);
                    continue;
                }
                Err(error) => return Err(Error::call(&self.map, "look elements up")(error)),
            }
            let count = count as usize;
            keys.truncate(count.saturating_mul(key_size));
            values.truncate(count.saturating_mul(value_size));
            if count != 0 {
                return Ok(Some(Batch {
                    keys,
                    values,
                    count,
                }));
            }
            if self.done {
                return Ok(None);
            }
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step();
        self.done |= !matches!(step, Ok(Some(_)));
        step.transpose()
    }
}

impl std::iter::FusedIterator for Batches {}
