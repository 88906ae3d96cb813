//! Maps without keys: queues, stacks, bloom filters.

use bytemuck::{AnyBitPattern, NoUninit, bytes_of, bytes_of_mut};

use super::check::view;
use crate::{Error, UpdateFlags};

view! {
    /// A queue, which gives the oldest value first, or a stack, which gives the newest (4.20).
    #[doc(alias = "BPF_MAP_TYPE_QUEUE")]
    #[doc(alias = "BPF_MAP_TYPE_STACK")]
    Queue<V>: [QUEUE, STACK], [0], [size_of::<V>()]
}

view! {
    /// A bloom filter: a set that only grows, and may say that it has what it has not (5.16).
    #[doc(alias = "BPF_MAP_TYPE_BLOOM_FILTER")]
    BloomFilter<V>: [BLOOM_FILTER], [0], [size_of::<V>()]
}

impl<V: AnyBitPattern + NoUninit> Queue<V> {
    /// Adds a value.
    ///
    /// # Errors
    /// `E2BIG` if it is full, and what the kernel says.
    pub fn push(&self, value: &V) -> Result<(), Error> {
        self.map.update(&[], bytes_of(value), UpdateFlags::ANY)
    }

    /// Adds a value; if it is full, the oldest one goes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn push_over(&self, value: &V) -> Result<(), Error> {
        self.map.update(&[], bytes_of(value), UpdateFlags::EXIST)
    }

    /// Takes the next value out; `None` if there is none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn pop(&self) -> Result<Option<V>, Error> {
        let mut value = V::zeroed();
        let bytes = bytes_of_mut(&mut value);
        let is_there = self
            .map
            .lookup_and_delete_into(&[], bytes, UpdateFlags::ANY)?;
        Ok(is_there.then_some(value))
    }

    /// The next value, which stays there; `None` if there is none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn peek(&self) -> Result<Option<V>, Error> {
        let mut value = V::zeroed();
        let bytes = bytes_of_mut(&mut value);
        let is_there = self.map.lookup_into(&[], bytes, UpdateFlags::ANY)?;
        Ok(is_there.then_some(value))
    }
}

impl<V: AnyBitPattern + NoUninit> BloomFilter<V> {
    /// Adds a value.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn add(&self, value: &V) -> Result<(), Error> {
        self.map.update(&[], bytes_of(value), UpdateFlags::ANY)
    }

    /// Whether the value may have been added; if not, it was not.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn may_contain(&self, value: &V) -> Result<bool, Error> {
        let mut value = *value;
        self.map
            .lookup_into(&[], bytes_of_mut(&mut value), UpdateFlags::ANY)
    }
}
