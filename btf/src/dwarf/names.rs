//! Strings of the debug sections as strings of the BTF being made.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::image::Dwarf;
use crate::builder::BtfBuilder;
use crate::error::{Error, Result};

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
                .get_str(gimli::DebugStrOffset(offset))
                .map(|text| text.slice())
                .unwrap_or_default(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The strings of a BTF being made.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_offset: HashMap<usize, u32, BuildHasherDefault<OffsetHasher>>,
}

impl Names {
    /// The offset of a string in the BTF, where it is added if it is not there.
    pub(super) fn add(
        &mut self,
        btf: &mut BtfBuilder,
        dwarf: &Dwarf<'_>,
        text: Text<'_>,
    ) -> Result<u32> {
        let Text::Shared(offset) = text else {
            return add(btf, text.bytes(dwarf));
        };
        if let Some(known) = self.by_offset.get(&offset) {
            return Ok(*known);
        }
        let added = add(btf, text.bytes(dwarf))?;
        self.by_offset.insert(offset, added);
        Ok(added)
    }
}

/// Adds a string that should be text.
pub(super) fn add(btf: &mut BtfBuilder, bytes: &[u8]) -> Result<u32> {
    let text = std::str::from_utf8(bytes).map_err(|source| Error::DebugInfo {
        what: format!("the name {:?}", String::from_utf8_lossy(bytes)).into(),
        source: source.into(),
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
