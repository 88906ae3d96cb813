//! `.BTF.ext`: which type, source line and CO-RE relocation belongs to which instruction.
//!
//! Records keep the size that they have in the file, since the kernel is given them as they are; a
//! record of a later version may be longer than what is known here.

use std::marker::PhantomData;
use std::ops::Range;

use crate::data::BtfData;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::raw::{self, Endian, Word};

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
    min_record_size: u32,
}

const FUNC: Layout = Layout {
    name: "func_info",
    header: 8,
    min_record_size: 8,
};
const LINE: Layout = Layout {
    name: "line_info",
    header: 16,
    min_record_size: 16,
};
const CORE: Layout = Layout {
    name: "core_relo",
    header: 24,
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
            if let Some((start, words)) = copy.split_first_chunk_mut::<4>() {
                let [magic @ .., _, _] = start;
                magic.reverse();
                raw::swap_words(words);
            }
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
        self.infos(&self.func)
    }

    /// Which source line starts at which instruction.
    #[must_use]
    pub fn line_infos(&self) -> Infos<'_, LineInfo> {
        self.infos(&self.line)
    }

    /// Which instruction has to be adjusted to the kernel's types, and how.
    #[must_use]
    pub fn core_relos(&self) -> Infos<'_, CoreRelo> {
        self.infos(&self.core)
    }

    fn infos<'a, T>(&'a self, segment: &'a Segment) -> Infos<'a, T> {
        Infos {
            data: self.data.bytes(),
            segment,
            of: PhantomData,
        }
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

/// One of the three lists, section by section.
#[derive(Debug)]
pub struct Infos<'a, T> {
    data: &'a [u8],
    segment: &'a Segment,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Infos<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Infos<'_, T> {}

impl<'a, T: Info> Infos<'a, T> {
    /// Bytes of each record as it lies in the file; 0 if there are none.
    #[must_use]
    pub const fn record_size(&self) -> u32 {
        self.segment.record_size
    }

    /// Whether there are no records.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.segment.blocks.is_empty()
    }

    /// The records of each program section.
    pub fn sections(&self) -> impl ExactSizeIterator<Item = InfoSection<'a, T>> + use<'a, T> {
        let Self { data, segment, of } = *self;
        segment.blocks.iter().map(move |block| InfoSection {
            section_name_off: block.section_name_off,
            record_size: segment.record_size,
            bytes: data.get(block.records.clone()).unwrap_or_default(),
            of,
        })
    }
}

/// The records of one program section.
#[derive(Debug)]
#[non_exhaustive]
pub struct InfoSection<'a, T> {
    /// Where in the strings of `.BTF` the name of the section starts.
    pub section_name_off: u32,
    /// Bytes of each record.
    pub record_size: u32,
    /// The records as the kernel takes them, in the host's byte order.
    pub bytes: &'a [u8],
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for InfoSection<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for InfoSection<'_, T> {}

impl<'a, T: Info> InfoSection<'a, T> {
    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        // A record size of 0 would have no records.
        self.bytes
            .len()
            .checked_div(self.record_size as usize)
            .unwrap_or(0)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of one record, all of them.
    #[must_use]
    pub fn record_bytes(&self, index: usize) -> Option<&'a [u8]> {
        let size = self.record_size as usize;
        self.bytes.get(index.checked_mul(size)?..)?.get(..size)
    }

    /// One record.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        T::read(raw::words(self.record_bytes(index)?))
    }

    /// The records in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let this = *self;
        (0..this.len()).map_while(move |index| this.get(index))
    }
}

/// A record of one of the three lists.
pub trait Info: sealed::Sealed + Sized {}

mod sealed {
    use crate::raw::Word;

    pub trait Sealed: Sized {
        fn read(words: &[Word]) -> Option<Self>;
    }
}

macro_rules! info {
    ($($info:ident[$($word:ident),*] => $value:expr;)*) => {
        $(
            impl Info for $info {}
            impl sealed::Sealed for $info {
                fn read(words: &[Word]) -> Option<Self> {
                    let [$($word),*] = words.first_chunk()?.map(raw::value);
                    Some($value)
                }
            }
        )*
    };
}

info! {
    FuncInfo[insn_off, id] => Self { insn_off, type_id: TypeId(id) };
    LineInfo[insn_off, file_name_off, line_off, line_col] => Self {
        insn_off,
        file_name_off,
        line_off,
        line: line_col >> 10,
        column: line_col & 0x3ff,
    };
    CoreRelo[insn_off, id, access_str_off, kind] => Self {
        insn_off,
        type_id: TypeId(id),
        access_str_off,
        kind,
    };
}

/// A function starts here (`struct bpf_func_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FuncInfo {
    /// Bytes from the start of the program section.
    pub insn_off: u32,
    /// The FUNC.
    pub type_id: TypeId,
}

/// A source line starts here (`struct bpf_line_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineInfo {
    /// Bytes from the start of the program section.
    pub insn_off: u32,
    /// Where the name of the source file starts.
    pub file_name_off: u32,
    /// Where the text of the line starts.
    pub line_off: u32,
    /// Number of the line, from 1.
    pub line: u32,
    /// Column in it.
    pub column: u32,
}

/// An instruction to adjust to the kernel's types (`struct bpf_core_relo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRelo {
    /// Bytes from the start of the program section.
    pub insn_off: u32,
    /// The local type that the access starts from.
    pub type_id: TypeId,
    /// Where the access string starts, such as `0:1:2`.
    pub access_str_off: u32,
    /// What is asked, see [`RelocationKind`](crate::core::RelocationKind).
    pub kind: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(func: &[u32], line: &[u32], core: &[u32]) -> Vec<u8> {
        let mut words = vec![0x0001_eb9f, 32];
        let mut offset = 0;
        for list in [func, line, core] {
            words.extend([offset, list.len() as u32 * 4]);
            offset += list.len() as u32 * 4;
        }
        words.extend([func, line, core].concat());
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    fn swapped(section: &[u8]) -> Vec<u8> {
        let mut data = section.to_vec();
        data[..2].reverse();
        raw::swap_words(&mut data[4..]);
        data
    }

    const FUNCS: [u32; 9] = [8, 11, 2, 0, 3, 16, 4, 12, 1];

    fn sample() -> Vec<u8> {
        // The second block of functions is cut off here; its one record follows.
        let func = [&FUNCS[..], &[24, 5]].concat();
        section(
            &func,
            &[16, 11, 1, 8, 20, 30, 7 << 10 | 9],
            &[16, 11, 1, 40, 2, 50, 12],
        )
    }

    #[test]
    fn all_three_lists_are_read_in_both_byte_orders() {
        for data in [sample(), swapped(&sample())] {
            let ext = BtfExt::parse(data).unwrap();
            let funcs: Vec<_> = ext.func_infos().sections().collect();
            assert_eq!(
                funcs.iter().map(|s| s.section_name_off).collect::<Vec<_>>(),
                [11, 12]
            );
            assert_eq!(
                funcs[0].get(1).unwrap(),
                FuncInfo {
                    insn_off: 16,
                    type_id: TypeId(4)
                }
            );
            assert_eq!(
                (funcs[0].len(), funcs[0].get(2), funcs[1].len()),
                (2, None, 1)
            );
            let line = ext.line_infos().sections().next().unwrap().get(0).unwrap();
            assert_eq!(
                (line.insn_off, line.line, line.column, line.line_off),
                (8, 7, 9, 30)
            );
            let core = ext
                .core_relos()
                .sections()
                .next()
                .unwrap()
                .iter()
                .next()
                .unwrap();
            assert_eq!(
                (core.type_id, core.access_str_off, core.kind),
                (TypeId(2), 50, 12)
            );
        }
    }

    #[test]
    fn longer_records_are_kept_whole() {
        let data = section(&[12, 11, 2, 0, 3, 77, 8, 4, 78], &[], &[]);
        let ext = BtfExt::parse(data.clone()).unwrap();
        let block = ext.func_infos().sections().next().unwrap();
        assert_eq!((block.record_size, block.bytes.len()), (12, 24));
        assert_eq!(block.get(1).unwrap().type_id, TypeId(4));
        assert_eq!(block.record_bytes(1).unwrap()[8..], 78u32.to_ne_bytes());
        let error = BtfExt::parse(swapped(&data)).unwrap_err().to_string();
        assert!(error.contains("foreign byte order"), "{error}");
    }

    #[test]
    fn a_short_header_has_no_relocations() {
        let words = [0x0001_eb9fu32, 24, 0, 20, 0, 0, 8, 11, 1, 0, 3];
        let data: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        let ext = BtfExt::parse(data).unwrap();
        assert!(ext.core_relos().is_empty() && !ext.func_infos().is_empty());
        assert_eq!(ext.line_infos().sections().len(), 0);
    }

    #[test]
    fn each_malformed_list_is_named() {
        for (func, problem) in [
            (&[4, 11, 1, 0][..], "record size"),
            (&[9, 11, 1, 0], "record size"),
            (&[8], "no blocks"),
            (&[8, 11], "block's header"),
            (&[8, 11, 0], "no records"),
            (&[8, 11, 2, 0, 3], "ends behind the list"),
            (&[8, 11, u32::MAX, 0, 3], "ends behind the list"),
        ] {
            let error = BtfExt::parse(section(func, &[], &[]))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("func_info") && error.contains(problem),
                "{error}"
            );
        }
    }

    #[test]
    fn truncated_or_flipped_input_never_panics() {
        let data = sample();
        for len in 0..data.len() {
            assert!(BtfExt::parse(&data[..len]).is_err(), "{len}");
        }
        for index in 0..data.len() {
            for bit in 0..8 {
                let mut data = data.clone();
                data[index] ^= 1 << bit;
                if let Ok(ext) = BtfExt::parse(data) {
                    let _ = ext
                        .func_infos()
                        .sections()
                        .map(|s| s.iter().count())
                        .sum::<usize>();
                    let _ = ext
                        .core_relos()
                        .sections()
                        .map(|s| s.iter().count())
                        .sum::<usize>();
                }
            }
        }
    }
}
