//! `.BTF.ext`: which type, source line and CO-RE relocation belongs to which instruction.
//!
//! Records keep the size that they have in the file, since the kernel is given them as they are; a
//! record of a later version may be longer than what is known here.

mod infos;
mod rewrite;

use std::ops::Range;

use crate::data::BtfData;
use crate::error::{Error, Result};
use crate::raw::{self, Endian};
use crate::shape::Field;

pub use infos::{CoreRelo, FuncInfo, Info, InfoSection, Infos, LineInfo};

const SECTION: &str = ".BTF.ext";
/// Bytes of a header that ends with the line infos, and of one with CO-RE relocations.
const HEADER_LEN: u64 = 24;
const HEADER_LEN_CORE: u64 = 32;

/// A `.BTF.ext` section that was read and checked.
#[derive(Clone, Debug)]
#[doc(alias = "btf_ext")]
pub struct BtfExt {
    data: BtfData,
    endian: Endian,
    func: Segment,
    line: Segment,
    core: Segment,
}

/// One of the three lists: where its blocks are.
#[derive(Clone, Debug, Default)]
struct Segment {
    record_size: u32,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    section_name_off: u32,
    records: Range<usize>,
}

/// What distinguishes the lists from each other.
struct Layout {
    name: &'static str,
    /// Where the header has the offset and length of the list.
    header: usize,
    /// What the words of a record mean; later versions may add some.
    fields: [Field; 4],
    min_record_size: u32,
}

const FUNC: Layout = Layout {
    name: "func_info",
    header: 8,
    fields: [Field::Plain, Field::Type, Field::Plain, Field::Plain],
    min_record_size: 8,
};
const LINE: Layout = Layout {
    name: "line_info",
    header: 16,
    fields: [Field::Plain, Field::Name, Field::Name, Field::Plain],
    min_record_size: 16,
};
const CORE: Layout = Layout {
    name: "core_relo",
    header: 24,
    fields: [Field::Plain, Field::Type, Field::Name, Field::Plain],
    min_record_size: 16,
};

impl BtfExt {
    /// Reads the content of a `.BTF.ext` section, of either byte order.
    ///
    /// # Errors
    /// What is malformed, and where; see [`Error`]. Offsets and ids that point into `.BTF` are not
    /// checked.
    #[doc(alias = "btf_ext__new")]
    pub fn parse(data: impl Into<BtfData>) -> Result<Self> {
        let mut data: BtfData = data.into();
        let bytes = data.bytes();
        let total = bytes.len() as u64;
        let truncated = |needed| Error::Truncated {
            section: SECTION,
            what: "the header",
            offset: 0,
            needed,
            len: total,
        };
        let fault = |field, found, expected| Error::Header {
            section: SECTION,
            field,
            found,
            expected,
        };
        if total < 8 {
            return Err(truncated(8));
        }
        let endian = Endian::of_magic(SECTION, bytes)?;
        let [version, flags] = [2, 3].map(|at| bytes.get(at).copied().unwrap_or_default());
        if version != raw::VERSION {
            return Err(fault("version", version.into(), "1"));
        }
        if flags != 0 {
            return Err(fault("flags", flags.into(), "0"));
        }
        let header_len = field(bytes, 4, endian);
        if header_len < HEADER_LEN {
            return Err(fault("hdr_len", header_len, "at least 24"));
        }
        if header_len >= total {
            return Err(truncated(header_len.saturating_add(1)));
        }
        if !endian.is_host() {
            if !header_len.is_multiple_of(4) {
                return Err(fault("hdr_len", header_len, "a multiple of 4"));
            }
            let mut copy = bytes.to_vec();
            swap(&mut copy);
            data = copy.into();
        }
        let bytes = data.bytes();
        let segment = |layout| Segment::parse(bytes, header_len, layout, !endian.is_host());
        let (func, line) = (segment(&FUNC)?, segment(&LINE)?);
        let core = if header_len >= HEADER_LEN_CORE {
            segment(&CORE)?
        } else {
            Segment::default()
        };
        Ok(Self {
            data,
            endian,
            func,
            line,
            core,
        })
    }

    /// The byte order that the section was in when it was read.
    #[must_use]
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The section in the host's byte order, whatever it was read in.
    #[must_use]
    #[doc(alias = "btf_ext__raw_data")]
    pub fn raw_bytes(&self) -> &[u8] {
        self.data.bytes()
    }

    /// Which function starts at which instruction.
    #[must_use]
    pub fn func_infos(&self) -> Infos<'_, FuncInfo> {
        Infos::new(self.data.bytes(), &self.func)
    }

    /// Which source line starts at which instruction.
    #[must_use]
    pub fn line_infos(&self) -> Infos<'_, LineInfo> {
        Infos::new(self.data.bytes(), &self.line)
    }

    /// Which instruction has to be adjusted to the kernel's types, and how.
    #[must_use]
    pub fn core_relos(&self) -> Infos<'_, CoreRelo> {
        Infos::new(self.data.bytes(), &self.core)
    }
}

/// Turns a whole section around.
fn swap(data: &mut [u8]) {
    if let Some((start, words)) = data.split_first_chunk_mut::<4>() {
        let [magic @ .., _, _] = start;
        magic.reverse();
        raw::swap_words(words);
    }
}

fn field(bytes: &[u8], offset: usize, endian: Endian) -> u64 {
    let word = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    u64::from(word.map_or(0, |word| endian.u32(*word)))
}

impl Segment {
    fn parse(bytes: &[u8], header_len: u64, layout: &Layout, foreign: bool) -> Result<Self> {
        let host = |offset: u64| field(bytes, offset as usize, Endian::HOST);
        let offset = host(layout.header as u64);
        let len = host(layout.header as u64 + 4);
        if len == 0 {
            return Ok(Self::default());
        }
        let mut at = header_len + offset;
        let end = at + len;
        let fault = |offset, problem, found| Error::Ext {
            segment: layout.name,
            offset,
            problem,
            found,
        };
        if !offset.is_multiple_of(4) {
            return Err(fault(
                layout.header as u64,
                "the offset is not a multiple of 4",
                offset,
            ));
        }
        if end > bytes.len() as u64 {
            return Err(fault(at, "the list ends behind the section", end));
        }
        if len < 4 {
            return Err(fault(at, "the list is too short for a record size", len));
        }
        let record_size = host(at);
        let least = u64::from(layout.min_record_size);
        if record_size < least || !record_size.is_multiple_of(4) {
            return Err(fault(
                at,
                "the record size is too small or no multiple of 4",
                record_size,
            ));
        }
        // The fields of a longer record are unknown, so nobody can turn them around.
        if foreign && record_size != least {
            return Err(fault(
                at,
                "the record size is unknown in foreign byte order",
                record_size,
            ));
        }
        at += 4;
        let mut blocks = Vec::new();
        while at < end {
            if end - at < 8 {
                return Err(fault(at, "the list ends inside a block's header", end - at));
            }
            let count = host(at + 4);
            if count == 0 {
                return Err(fault(at, "the block has no records", count));
            }
            let start = at + 8;
            // Two 32-bit numbers make a product of 64 bits.
            let size = count * record_size;
            if size > end - start {
                return Err(fault(at, "the block ends behind the list", size));
            }
            blocks.push(Block {
                section_name_off: host(at) as u32,
                records: start as usize..(start + size) as usize,
            });
            at = start + size;
        }
        if blocks.is_empty() {
            return Err(fault(at, "the list has no blocks", len));
        }
        Ok(Self {
            record_size: record_size as u32,
            blocks,
        })
    }
}

#[cfg(test)]
mod tests;
