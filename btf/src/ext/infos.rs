//! The records of the three lists.

use std::marker::PhantomData;

use super::{Block, Segment};
use crate::id::TypeId;
use crate::raw::{self, Word};

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
    pub(super) const fn new(data: &'a [u8], segment: &'a Segment) -> Self {
        Self {
            data,
            segment,
            of: PhantomData,
        }
    }

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
        let this = *self;
        self.segment.blocks.iter().map(move |block| this.of(block))
    }

    /// The records of one program section, by its position among them.
    #[must_use]
    pub fn section(&self, index: usize) -> Option<InfoSection<'a, T>> {
        self.segment.blocks.get(index).map(|block| self.of(block))
    }

    fn of(&self, block: &Block) -> InfoSection<'a, T> {
        InfoSection {
            section_name_off: block.section_name_off,
            record_size: self.segment.record_size,
            bytes: self.data.get(block.records.clone()).unwrap_or_default(),
            of: self.of,
        }
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
