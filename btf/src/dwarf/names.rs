//! Strings of the debug sections as strings of the BTF being made.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use gimli::{Reader as _, Section as _};

use super::sections::Dwarf;
use crate::builder::BtfBuilder;
use crate::error::{Error, Result};

/// Bytes of the longest name, in a table where many can be parts of one long string.
const MAX_NAME: usize = 1 << 14;
/// How many times the bytes of all names may be those of the sections that they are in. Linkers
/// let names share their ends, which saves a little.
const MOST_OVERLAP: usize = 8;
/// Bytes of a name that an error shows.
const SHOWN: usize = 64;

/// A string as an attribute has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Text<'d> {
    #[default]
    None,
    /// At an offset in `.debug_str`: most of them are, and most of them many times.
    Shared(usize),
    Bytes(&'d [u8]),
}

impl<'d> Text<'d> {
    /// The string itself; empty if there is none, or if it is not where it should be.
    pub(super) fn bytes(self, dwarf: &Dwarf<'d>) -> &'d [u8] {
        match self {
            Self::None => &[],
            Self::Shared(offset) => dwarf
                .debug_str
                .reader()
                .slice()
                .get(offset..)
                .and_then(until_nul)
                .unwrap_or_default(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The string that starts these bytes, unless it is too long to be a name.
pub(super) fn until_nul(bytes: &[u8]) -> Option<&[u8]> {
    let window = bytes.get(..MAX_NAME).unwrap_or(bytes);
    let len = window.iter().position(|byte| *byte == 0)?;
    window.get(..len)
}

/// The strings of a BTF being made.
#[derive(Debug)]
pub(super) struct Names {
    by_offset: HashMap<usize, u32, BuildHasherDefault<OffsetHasher>>,
    /// Bytes that all strings together may still take.
    left: usize,
}

impl Names {
    /// Names of units of so many bytes.
    pub(super) fn new(dwarf: &Dwarf<'_>, bytes: usize) -> Self {
        let tables = [dwarf.debug_str.reader(), dwarf.debug_line_str.reader()];
        let tables: usize = tables.iter().map(|table| table.len()).sum();
        Self {
            by_offset: HashMap::default(),
            left: tables.saturating_add(bytes).saturating_mul(MOST_OVERLAP),
        }
    }

    /// The offset of a string in the BTF, where it is added if it is not there.
    pub(super) fn add(
        &mut self,
        btf: &mut BtfBuilder,
        dwarf: &Dwarf<'_>,
        text: Text<'_>,
    ) -> Result<u32> {
        let Text::Shared(offset) = text else {
            return self.add_bytes(btf, text.bytes(dwarf));
        };
        if let Some(known) = self.by_offset.get(&offset) {
            return Ok(*known);
        }
        let added = self.add_bytes(btf, text.bytes(dwarf))?;
        self.by_offset.insert(offset, added);
        Ok(added)
    }

    fn add_bytes(&mut self, btf: &mut BtfBuilder, bytes: &[u8]) -> Result<u32> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            return Err(Error::TooLarge {
                what: "bytes of names that overlap",
            });
        };
        self.left = left;
        add(btf, bytes)
    }
}

/// Adds a string that should be text.
pub(super) fn add(btf: &mut BtfBuilder, bytes: &[u8]) -> Result<u32> {
    let text = std::str::from_utf8(bytes).map_err(|source| {
        let start = bytes.get(..SHOWN).unwrap_or(bytes);
        Error::DebugInfo {
            what: format!("the name {:?}", String::from_utf8_lossy(start)).into(),
            source: source.into(),
        }
    })?;
    btf.add_str(text)
}

/// Spreads offsets over the bits of a hash; nobody gains by making them collide, since the table
/// has no more of them than there are strings.
#[derive(Debug, Default)]
struct OffsetHasher(u64);

impl Hasher for OffsetHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, value: usize) {
        let mixed = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}
