//! Many elements in one call (5.6), or one by one where the kernel or the kind of map has no batches.

use purebpf_syscall::{BatchCursor, BatchOutcome, CallError, ENOTSUPP, Errno};

use super::{Keys, Map, UpdateFlags};
use crate::Error;

/// Elements that one call brought: keys one after the other, values one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    place: Place,
    room: usize,
    delete: bool,
}

#[derive(Clone, Debug)]
enum Place {
    /// The kernel's own; before the first call nobody knows whether it has batches.
    Cursor {
        cursor: BatchCursor,
        is_start: bool,
    },
    /// There are no batches.
    Keys(Keys),
    End,
}

/// Bytes of elements in a batch whose size nobody gave.
const PICKED: usize = 256 << 10;

impl Map {
    /// All elements, many in a batch: a full one does not mean more, nor a partly filled one the end. A
    /// hash map gives each element once that is there all the time, whatever others do meanwhile.
    ///
    /// Where the kernel (before 5.6) or the kind of map has no batches they are filled one by one along
    /// [`Map::keys`], which may give an element again if others delete some meanwhile.
    ///
    /// An error is the last item.
    #[doc(alias = "bpf_map_lookup_batch")]
    #[must_use]
    pub fn batches(&self) -> Batches {
        self.batches_of(false)
    }

    /// As [`Self::batches`], but each element is removed as it is read.
    #[doc(alias = "bpf_map_lookup_and_delete_batch")]
    #[must_use]
    pub fn drain_batches(&self) -> Batches {
        self.batches_of(true)
    }

    fn batches_of(&self, delete: bool) -> Batches {
        let size = (self.key_size() as usize).saturating_add(self.buffer_size());
        Batches {
            map: self.clone(),
            place: Place::Cursor {
                cursor: BatchCursor::default(),
                is_start: true,
            },
            room: self.most_room(PICKED.checked_div(size).unwrap_or(1)),
            delete,
        }
    }

    fn most_room(&self, room: usize) -> usize {
        room.clamp(1, (self.max_entries() as usize).max(1))
    }

    /// Writes elements given as keys one after the other and values one after the other: in one call, or
    /// one by one where there are no batches.
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
        let expected = count.saturating_mul(self.buffer_size());
        Error::size(self, "the values", values.len(), expected)?;
        let outcome = self.kernel().update_batch(keys, values, flags.bits());
        match outcome.result {
            Err(error) if outcome.count == 0 && has_no_batches(error) => {
                let values = values.chunks_exact(self.buffer_size().max(1));
                let mut elements = self.keys_in(keys).zip(values);
                elements.try_for_each(|(key, value)| self.update(key, value, flags))
            }
            result => result.map_err(Error::call(self, "update elements")),
        }
    }

    /// Removes elements given as keys one after the other: in one call, or one by one where there are no
    /// batches.
    ///
    /// # Errors
    /// A length that does not match, `ENOENT` for a key without an element, and what the kernel says; it
    /// may have got through a part then.
    #[doc(alias = "bpf_map_delete_batch")]
    pub fn delete_batch(&self, keys: &[u8]) -> Result<(), Error> {
        self.batch_count(keys)?;
        let outcome = self.kernel().delete_batch(keys, 0);
        let result = match outcome.result {
            Err(error) if outcome.count == 0 && has_no_batches(error) => self
                .keys_in(keys)
                .try_for_each(|key| self.kernel().delete(key, 0)),
            result => result,
        };
        result.map_err(Error::call(self, "delete elements"))
    }

    fn keys_in<'a>(&self, keys: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        keys.chunks_exact((self.key_size() as usize).max(1))
    }

    fn batch_count(&self, keys: &[u8]) -> Result<usize, Error> {
        let size = self.key_size() as usize;
        let count = keys.len().checked_div(size).unwrap_or(0);
        Error::size(self, "the keys", keys.len(), count.saturating_mul(size))?;
        Ok(count)
    }
}

/// `ENOTSUPP` is of a kind of map that has no batches, `EINVAL` of a kernel without, and of much else: the
/// calls for a single element say that again then.
fn has_no_batches(error: CallError) -> bool {
    error.raw_os_error() == ENOTSUPP || error.errno() == Errno::EINVAL
}

impl Batches {
    /// So many elements in a batch at most, 1 if 0; more, if the kernel cannot do with so few. Without
    /// this, the sizes of the map tell.
    #[must_use]
    pub fn room(self, room: usize) -> Self {
        let room = self.map.most_room(room);
        Self { room, ..self }
    }

    /// Puts the next elements in place of those in `batch`, whose memory is used again; whether there
    /// are any.
    ///
    /// # Errors
    /// What the kernel says; it is the end as well.
    pub fn read_into(&mut self, batch: &mut Batch) -> Result<bool, Error> {
        let read = self.read(batch);
        if !matches!(read, Ok(true)) {
            self.place = Place::End;
        }
        read
    }

    fn read(&mut self, batch: &mut Batch) -> Result<bool, Error> {
        let (key_size, value_size) = (self.map.key_size() as usize, self.map.buffer_size());
        loop {
            let room = self.room;
            batch.keys.resize(room.saturating_mul(key_size), 0);
            batch.values.resize(room.saturating_mul(value_size), 0);
            let count = match &mut self.place {
                Place::End => 0,
                Place::Keys(keys) => one_by_one(&self.map, keys, batch, self.delete)?,
                Place::Cursor { cursor, is_start } => {
                    let BatchOutcome { count, result } = self.map.kernel().lookup_batch(
                        cursor,
                        &mut batch.keys,
                        &mut batch.values,
                        0,
                        self.delete,
                    );
                    match result {
                        Ok(()) => *is_start = false,
                        Err(error) if error.errno() == Errno::ENOENT => self.place = Place::End,
                        // A bucket of the hash table is longer, and it comes whole or not at all.
                        Err(error)
                            if error.errno() == Errno::ENOSPC
                                && room < self.map.max_entries() as usize =>
                        {
                            self.room = room.saturating_mul(2);
                            continue;
                        }
                        Err(error) if *is_start && count == 0 && has_no_batches(error) => {
                            self.place = Place::Keys(self.map.keys());
                            continue;
                        }
                        Err(error) => {
                            return Err(Error::call(&self.map, "look elements up")(error));
                        }
                    }
                    count as usize
                }
            };
            batch.count = count;
            batch.keys.truncate(count.saturating_mul(key_size));
            batch.values.truncate(count.saturating_mul(value_size));
            if count != 0 || !matches!(self.place, Place::Cursor { .. }) {
                return Ok(count != 0);
            }
        }
    }
}

/// Fills a batch along the keys; one that goes away meanwhile is left out.
fn one_by_one(map: &Map, keys: &mut Keys, batch: &mut Batch, delete: bool) -> Result<usize, Error> {
    let (key_size, value_size) = (map.key_size() as usize, map.buffer_size());
    let room = batch.values.len().checked_div(value_size).unwrap_or(0);
    let mut count = 0;
    while count < room {
        let Some(key) = keys.advance()? else { break };
        let key_room = element(&mut batch.keys, count, key_size);
        let value_room = element(&mut batch.values, count, value_size);
        let (Some(key_room), Some(value_room)) = (key_room, value_room) else {
            break;
        };
        if !map.lookup_into(key, value_room, UpdateFlags::ANY)? {
            continue;
        }
        if delete {
            map.delete(key)?;
        }
        key_room.copy_from_slice(key);
        count += 1;
    }
    Ok(count)
}

fn element(bytes: &mut [u8], index: usize, size: usize) -> Option<&mut [u8]> {
    let start = index.checked_mul(size)?;
    bytes.get_mut(start..start.checked_add(size)?)
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Batch::default();
        self.read_into(&mut batch)
            .map(|is_there| is_there.then_some(batch))
            .transpose()
    }
}

impl std::iter::FusedIterator for Batches {}
