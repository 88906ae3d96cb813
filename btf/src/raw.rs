//! The layout of a BTF section: byte order, header, 32-bit words.

use std::ops::Range;

use crate::error::{Error, Result};

/// `BTF_MAGIC`: the first two bytes, in the byte order of the section.
pub const MAGIC: u16 = 0xeb9f;
/// `BTF_VERSION`.
pub const VERSION: u8 = 1;
/// Bytes of the header that every version has.
pub const HEADER_LEN: usize = 24;
/// Bytes of the header with the layout fields.
pub const HEADER_LEN_LAYOUT: usize = 32;
/// Most entries a record may have: `vlen` is 24 bits.
pub const MAX_VLEN: u32 = 0x00ff_ffff;
/// Largest type id or string offset.
pub const MAX_ID: u32 = 0x7fff_ffff;

const SECTION: &str = ".BTF";

/// The byte order of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    /// The byte order of the machine that this code runs on.
    pub const HOST: Self = if cfg!(target_endian = "little") {
        Self::Little
    } else {
        Self::Big
    };

    /// Whether data of this order can be used here as it is.
    #[must_use]
    pub const fn is_host(self) -> bool {
        matches!(
            (self, Self::HOST),
            (Self::Little, Self::Little) | (Self::Big, Self::Big)
        )
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }

    /// The order that these two bytes were written in, if they are the magic.
    pub(crate) fn of_magic(section: &'static str, data: &[u8]) -> Result<Self> {
        let found = data
            .first_chunk::<2>()
            .map_or(0, |bytes| u16::from_ne_bytes(*bytes));
        match found {
            MAGIC => Ok(Self::HOST),
            swapped if swapped == MAGIC.swap_bytes() => Ok(Self::HOST.other()),
            _ => Err(Error::Magic { section, found }),
        }
    }

    pub(crate) const fn u32(self, bytes: Word) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// Four bytes of a section; everything behind the header of BTF is made of them.
pub(crate) type Word = [u8; 4];

/// The bytes as words, unaligned as they may be; a rest of one to three bytes is dropped.
pub(crate) const fn words(bytes: &[u8]) -> &[Word] {
    bytes.as_chunks::<4>().0
}

/// One word of a section that is in host order.
#[inline]
pub(crate) const fn value(word: Word) -> u32 {
    u32::from_ne_bytes(word)
}

/// Turns a section part that is all 32-bit words around.
pub(crate) fn swap_words(bytes: &mut [u8]) {
    for word in bytes.as_chunks_mut::<4>().0 {
        word.reverse();
    }
}

/// The header (`struct btf_header`), its offsets made absolute.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) endian: Endian,
    /// Bytes that the header takes.
    pub(crate) len: usize,
    pub(crate) types: Range<usize>,
    pub(crate) strings: Range<usize>,
    /// The table of record sizes per kind (`struct btf_layout`), where there is one.
    pub(crate) layout: Range<usize>,
    /// Whether the header has no fields of a later version with something in them.
    pub(crate) known: bool,
}

impl Header {
    /// Reads and checks the header; every range that comes out lies inside `data`.
    pub(crate) fn parse(data: &[u8]) -> Result<Self> {
        let total = data.len() as u64;
        if data.len() < HEADER_LEN {
            return Err(Error::Truncated {
                section: SECTION,
                what: "the header",
                offset: 0,
                needed: HEADER_LEN as u64,
                len: total,
            });
        }
        let endian = Endian::of_magic(SECTION, data)?;
        let field = |offset: usize| {
            let bytes = data.get(offset..).and_then(<[u8]>::first_chunk::<4>);
            u64::from(bytes.map_or(0, |bytes| endian.u32(*bytes)))
        };
        let fault = |field, found, expected| Error::Header {
            section: SECTION,
            field,
            found,
            expected,
        };

        let len = field(4);
        if len < HEADER_LEN as u64 {
            return Err(fault("hdr_len", len, "at least 24"));
        }
        if len > total {
            return Err(fault("hdr_len", len, "at most the size of the section"));
        }
        let [type_off, type_len, str_off, str_len] = [8, 12, 16, 20].map(field);
        let [layout_off, layout_len] = match len >= HEADER_LEN_LAYOUT as u64 {
            true => [24, 28].map(field),
            false => [0, 0],
        };
        if str_off + str_len > total - len {
            return Err(Error::Truncated {
                section: SECTION,
                what: "the string section",
                offset: len + str_off,
                needed: str_len,
                len: total,
            });
        }
        if !type_off.is_multiple_of(4) {
            return Err(fault("type_off", type_off, "a multiple of 4"));
        }
        if type_off + type_len > str_off {
            return Err(fault(
                "type_len",
                type_len,
                "types that end before the strings",
            ));
        }
        if layout_len != 0 {
            if !layout_off.is_multiple_of(4) || layout_off < type_off + type_len {
                return Err(fault(
                    "layout_off",
                    layout_off,
                    "a multiple of 4 behind the types",
                ));
            }
            if !layout_len.is_multiple_of(4) || layout_off + layout_len > str_off {
                return Err(fault(
                    "layout_len",
                    layout_len,
                    "a multiple of 4 that ends before the strings",
                ));
            }
        }
        // Everything is known to end before `total` now, which is a usize.
        let range = |off: u64, size: u64| (len + off) as usize..(len + off + size) as usize;
        let extra = data
            .get(HEADER_LEN_LAYOUT..len as usize)
            .unwrap_or_default();
        Ok(Self {
            endian,
            len: len as usize,
            types: range(type_off, type_len),
            strings: range(str_off, str_len),
            layout: if layout_len == 0 {
                0..0
            } else {
                range(layout_off, layout_len)
            },
            known: extra.iter().all(|byte| *byte == 0),
        })
    }

    /// A section with this content, in host order; `layout` adds the later header fields.
    pub(crate) fn assemble(types: &[u8], layout: &[u8], strings: &[u8]) -> Result<Vec<u8>> {
        let header_len = if layout.is_empty() {
            HEADER_LEN
        } else {
            HEADER_LEN_LAYOUT
        };
        let too_large = |_| Error::TooLarge { what: "bytes" };
        let u32_of = |len: usize| u32::try_from(len).map_err(too_large);
        let total = header_len + types.len() + layout.len() + strings.len();
        u32_of(total)?;
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(&MAGIC.to_ne_bytes());
        out.extend_from_slice(&[VERSION, 0]);
        let fields = [
            header_len,
            0,
            types.len(),
            types.len() + layout.len(),
            strings.len(),
            types.len(),
            layout.len(),
        ];
        let count = if layout.is_empty() { 5 } else { 7 };
        for field in fields.into_iter().take(count) {
            out.extend_from_slice(&u32_of(field)?.to_ne_bytes());
        }
        out.extend_from_slice(types);
        out.extend_from_slice(layout);
        out.extend_from_slice(strings);
        Ok(out)
    }

    /// Turns a whole section around, from or to the host's byte order.
    pub(crate) fn swap(&self, data: &mut [u8]) {
        let Self {
            endian: _,
            len,
            types,
            strings: _,
            layout,
            known: _,
        } = self;
        let known = (*len).min(HEADER_LEN_LAYOUT);
        if let Some(magic) = data.get_mut(..2) {
            magic.reverse();
        }
        if let Some(fields) = data.get_mut(4..known) {
            swap_words(fields);
        }
        if let Some(types) = data.get_mut(types.clone()) {
            swap_words(types);
        }
        // An entry is two bytes of sizes and 16 bits of flags.
        for entry in data
            .get_mut(layout.clone())
            .unwrap_or_default()
            .as_chunks_mut::<4>()
            .0
        {
            let [_, _, flags @ ..] = entry;
            flags.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Vec<u8> {
        Header::assemble(&[1, 0, 0, 0], &[4, 12, 1, 2], b"\0a\0").unwrap()
    }

    #[test]
    fn header_round_trips_with_layout() {
        let header = Header::parse(&section()).unwrap();
        assert_eq!(
            (header.len, header.types, header.layout, header.strings),
            (32, 32..36, 36..40, 40..43)
        );
        assert!(header.known && header.endian.is_host());
    }

    #[test]
    fn swapping_twice_changes_nothing() {
        let mut data = section();
        let header = Header::parse(&data).unwrap();
        header.swap(&mut data);
        assert_eq!(data[36..40], [4, 12, 2, 1]);
        let swapped = Header::parse(&data).unwrap();
        assert_eq!(
            (swapped.endian, &swapped.types),
            (Endian::HOST.other(), &header.types)
        );
        swapped.swap(&mut data);
        assert_eq!(data, section());
    }

    #[test]
    fn fields_of_a_later_version_are_noticed() {
        let mut data = section();
        data[4..8].copy_from_slice(&36u32.to_ne_bytes());
        data.splice(32..32, [0; 4]);
        assert!(Header::parse(&data).unwrap().known);
        data[33] = 1;
        assert!(!Header::parse(&data).unwrap().known);
    }

    #[test]
    fn each_bad_header_field_is_named() {
        for (offset, value, field) in [
            (4, 23u32, "hdr_len"),
            (4, 1000, "hdr_len"),
            (8, 2, "type_off"),
            (12, 9, "type_len"),
            (24, 3, "layout_off"),
            (24, 0, "layout_off"),
            (28, 6, "layout_len"),
            (28, 8, "layout_len"),
        ] {
            let mut data = section();
            data[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
            let error = Header::parse(&data).unwrap_err().to_string();
            assert!(error.contains(field), "{offset} {value}: {error}");
        }
    }

    #[test]
    fn lengths_that_overflow_are_caught() {
        for (offset, part) in [
            (20, "string section"),
            (16, "string section"),
            (12, "type_len"),
        ] {
            let mut data = section();
            data[offset..offset + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
            let error = Header::parse(&data).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
