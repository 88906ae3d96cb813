//! The strings of a BTF being made: one behind the other, none twice.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::name;
use crate::raw::MAX_ID;

/// A string that can be found.
#[derive(Clone, Copy, Debug)]
struct Known {
    hash: u64,
    offset: u32,
}

/// A string section that grows; it may continue that of a base.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    base: Option<Arc<Btf>>,
    /// The offset of the first byte.
    start: u32,
    bytes: Vec<u8>,
    /// Strings of the base may be among them.
    known: HashTable<Known>,
    hasher: DefaultHashBuilder,
}

impl Strings {
    /// Nothing but the empty string, which has offset 0.
    pub(crate) fn new(base: Option<Arc<Btf>>) -> Self {
        let mut strings = Self::default();
        match &base {
            Some(base) => strings.start = base.end_str(),
            None => strings.bytes.push(0),
        }
        strings.base = base;
        strings
    }

    /// A section that is there already; its strings are not searched.
    pub(crate) fn of(btf: &Btf) -> Self {
        Self {
            base: btf.base().cloned(),
            start: btf.start_str(),
            bytes: btf.strings().to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first offset that is no string.
    pub(crate) fn end(&self) -> usize {
        self.start as usize + self.bytes.len()
    }

    /// The offset of a string without a NUL, which is added if it is not known.
    pub(crate) fn add(&mut self, text: &[u8]) -> Result<u32> {
        let end = self.end();
        let new = |this: &mut Self| {
            if end + text.len() >= MAX_ID as usize {
                return Err(Error::TooLarge { what: "strings" });
            }
            this.bytes.extend_from_slice(text);
            this.bytes.push(0);
            Ok(end as u32)
        };
        self.find_or(text, new)
    }

    /// Makes a string of the base known; the result is where it was first seen.
    pub(crate) fn know(&mut self, offset: u32, text: &[u8]) -> Result<u32> {
        self.find_or(text, |_| Ok(offset))
    }

    fn find_or(&mut self, text: &[u8], new: impl FnOnce(&mut Self) -> Result<u32>) -> Result<u32> {
        if text.is_empty() {
            return Ok(0);
        }
        let hash = self.hasher.hash_one(text);
        let is = |known: &Known| known.hash == hash && name::is(self.from(known.offset), text);
        if let Some(known) = self.known.find(hash, is) {
            return Ok(known.offset);
        }
        let offset = new(self)?;
        let known = Known { hash, offset };
        self.known.insert_unique(hash, known, |known| known.hash);
        Ok(offset)
    }

    /// The bytes from an offset on.
    fn from(&self, offset: u32) -> &[u8] {
        match (offset.checked_sub(self.start), &self.base) {
            (Some(own), _) => self.bytes.get(own as usize..).unwrap_or_default(),
            (None, Some(base)) => base.strings_from(offset),
            (None, None) => &[],
        }
    }

    /// Forgets all that was added behind this end.
    pub(crate) fn truncate(&mut self, end: usize) {
        self.known.retain(|known| (known.offset as usize) < end);
        self.bytes.truncate(end.saturating_sub(self.start as usize));
    }
}

/// The offsets of one BTF's strings in another, each looked up once.
#[derive(Debug)]
pub(crate) struct Renamed {
    /// The first offset that is renamed; those before stay what they are.
    start: u32,
    /// The new offset of each; 0 where it was not looked up.
    offsets: Vec<u32>,
    /// Bytes that may still be looked up: strings may overlap, so few bytes can hold a great many.
    left: usize,
}

impl Renamed {
    /// For the strings from this offset up to the last of `source`.
    pub(crate) fn new(source: &Btf, start: u32) -> Self {
        let len = source.end_str().saturating_sub(start) as usize;
        Self {
            start,
            offsets: vec![0; len],
            left: len.saturating_mul(8).saturating_add(1 << 16),
        }
    }

    /// The new offset of a string, asked of `find` the first time.
    pub(crate) fn get(
        &mut self,
        source: &Btf,
        offset: u32,
        find: impl FnOnce(&[u8]) -> Result<u32>,
    ) -> Result<u32> {
        let Some(index) = offset.checked_sub(self.start) else {
            return Ok(offset);
        };
        match self.offsets.get_mut(index as usize) {
            Some(0) | None => {}
            Some(known) => return Ok(*known),
        }
        let text = source.str_at(offset)?;
        let left = self.left.checked_sub(text.len());
        self.left = left.ok_or(Error::TooLarge {
            what: "strings that overlap",
        })?;
        let new = find(text)?;
        if let Some(slot) = self.offsets.get_mut(index as usize) {
            *slot = new;
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_is_added_once_and_found_again() {
        let mut strings = Strings::new(None);
        let [a, b] = ["alpha", "beta"].map(|text| strings.add(text.as_bytes()).unwrap());
        assert_eq!((a, b), (1, 7));
        assert_eq!(strings.add(b"alpha").unwrap(), a);
        assert_eq!(strings.add(b"").unwrap(), 0);
        assert_eq!(strings.bytes(), b"\0alpha\0beta\0");
    }

    #[test]
    fn what_was_cut_off_is_not_found() {
        let mut strings = Strings::new(None);
        strings.add(b"stays").unwrap();
        let end = strings.end();
        strings.add(b"goes").unwrap();
        strings.truncate(end);
        assert_eq!(strings.add(b"goes").unwrap() as usize, end);
        assert_eq!(strings.bytes(), b"\0stays\0goes\0");
    }

    #[test]
    fn table_can_grow() {
        let mut strings = Strings::new(None);
        let names: Vec<_> = (0..5_000).map(|number| format!("name{number}")).collect();
        let offsets: Vec<_> = names
            .iter()
            .map(|name| strings.add(name.as_bytes()).unwrap())
            .collect();
        let again = names
            .iter()
            .map(|name| strings.add(name.as_bytes()).unwrap());
        assert!(again.eq(offsets));
    }
}
