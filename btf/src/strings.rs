//! The strings of a BTF being made: one behind the other, none twice.

use std::hash::{BuildHasher as _, Hasher as _};
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

/// A string without its NUL, and its hash.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    hash: u64,
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
    /// Whether all strings are known, and no name starts inside one.
    is_unique: bool,
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
        strings.is_unique = base.is_none();
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

    /// Whether equal names have equal offsets.
    pub(crate) fn is_unique(&self) -> bool {
        self.is_unique
    }

    /// From now on there may be names at any offset.
    pub(crate) fn allow_any_offset(&mut self) {
        self.is_unique = false;
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
        let text = self.text(text);
        self.add_text(text)
    }

    fn add_text(&mut self, text: Text<'_>) -> Result<u32> {
        let end = self.end();
        self.find_or(text, |this| {
            if end + text.bytes.len() >= MAX_ID as usize {
                return Err(Error::TooLarge { what: "strings" });
            }
            this.bytes.extend_from_slice(text.bytes);
            this.bytes.push(0);
            Ok(end as u32)
        })
    }

    fn find_or(
        &mut self,
        text: Text<'_>,
        new: impl FnOnce(&mut Self) -> Result<u32>,
    ) -> Result<u32> {
        let Text { bytes, hash } = text;
        if bytes.is_empty() {
            return Ok(0);
        }
        let is = |known: &Known| known.hash == hash && name::is(self.from(known.offset), bytes);
        if let Some(known) = self.known.find(hash, is) {
            return Ok(known.offset);
        }
        let offset = new(self)?;
        let known = Known { hash, offset };
        self.known.insert_unique(hash, known, |known| known.hash);
        Ok(offset)
    }

    /// The string that starts these bytes.
    #[inline]
    fn text<'a>(&self, bytes: &'a [u8]) -> Text<'a> {
        let bytes = name::up_to_nul(bytes);
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        let hash = hasher.finish();
        Text { bytes, hash }
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
#[derive(Clone, Debug, Default)]
pub(crate) struct Renamed {
    /// The first offset that is renamed; those before stay what they are.
    start: u32,
    /// The first offset that is not the other's as well, because both continue one base.
    shared: u32,
    /// The new offset of each; 0 where it was not looked up.
    offsets: Vec<u32>,
    /// Which were looked up, so that the table need not be cleared as a whole.
    used: Vec<u32>,
    /// Bytes that may still be looked up: strings may overlap, so few bytes can hold a great many.
    left: usize,
}

impl Renamed {
    /// For the strings from `start` up to the last of `source`, those before `shared` being in the
    /// base of both.
    pub(crate) fn new(source: &Btf, start: u32, shared: u32) -> Self {
        Self::default().restart(source, start, shared)
    }

    /// The same with the memory of an earlier one.
    pub(crate) fn restart(mut self, source: &Btf, start: u32, shared: u32) -> Self {
        for index in self.used.drain(..) {
            if let Some(slot) = self.offsets.get_mut(index as usize) {
                *slot = 0;
            }
        }
        let len = source.end_str().saturating_sub(start) as usize;
        self.offsets.resize(len.max(self.offsets.len()), 0);
        Self {
            start,
            shared,
            left: len.saturating_mul(8).saturating_add(1 << 16),
            ..self
        }
    }

    /// The new offset of a string, looked up the first time.
    #[inline]
    pub(crate) fn get(&mut self, source: &Btf, offset: u32, to: &mut Strings) -> Result<u32> {
        let Some(index) = offset.checked_sub(self.start) else {
            return Ok(offset);
        };
        match self.offsets.get(index as usize) {
            Some(0) | None => self.look_up(source, offset, index, to),
            Some(known) => Ok(*known),
        }
    }

    fn look_up(&mut self, source: &Btf, offset: u32, index: u32, to: &mut Strings) -> Result<u32> {
        if offset == 0 {
            return Ok(0);
        }
        let bytes = source.strings_from(offset);
        if bytes.is_empty() {
            let limit = source.end_str();
            return Err(Error::NoString { offset, limit });
        }
        let text = to.text(bytes);
        let Some(left) = self.left.checked_sub(text.bytes.len()) else {
            let what = "strings that overlap";
            return Err(Error::TooLarge { what });
        };
        self.left = left;
        let new = if offset < self.shared {
            to.find_or(text, |_| Ok(offset))?
        } else {
            to.add_text(text)?
        };
        if let Some(slot) = self.offsets.get_mut(index as usize) {
            *slot = new;
            self.used.push(index);
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
