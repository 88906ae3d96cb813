//! The debug sections of the file, unpacked and relocated, and what they are read as.

use std::borrow::Cow;

use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{File, Object as _, ObjectKind, ObjectSection as _, Section};

use super::layout::{Layout, in_elf};
use super::relocate::relocate;
use crate::error::{Error, Result};

/// A part of a debug section.
pub(super) type Slice<'d> = EndianSlice<'d, RunTimeEndian>;
/// All debug sections.
pub(super) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;
/// Where an entry is: bytes from the start of `.debug_info`, with `.debug_types` behind its end.
/// No entry is at 0, which stands for void and for none.
pub(super) type Offset = u64;

/// How many times the size of the file its debug sections may take. Compressed ones shrink to a
/// third or so; a file in which many sections are the same bytes is no compiler's.
const MOST_INFLATION: u64 = 32;
/// The debug sections that are read.
const SECTIONS: [SectionId; 9] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLineStr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTypes,
];

/// The bytes of all debug sections.
#[derive(Debug)]
pub(super) struct Sections<'d> {
    bytes: DwarfSections<Cow<'d, [u8]>>,
    pub(super) order: RunTimeEndian,
}

/// How much may be taken out of a file; parts of it can be the same bytes.
#[derive(Debug)]
struct Budget {
    /// Bytes of debug sections.
    bytes: u64,
    relocations: usize,
}

impl<'d> Sections<'d> {
    /// Those of a file of so many bytes.
    pub(super) fn load(file: &File<'d>, layout: &Layout, file_len: usize) -> Result<Self> {
        let mut budget = Budget {
            bytes: (file_len as u64).saturating_mul(MOST_INFLATION),
            relocations: file_len,
        };
        let bytes = DwarfSections::load(|id| match SECTIONS.contains(&id) {
            true => debug_section(file, layout, id, &mut budget),
            false => Ok(Cow::Borrowed(&[][..])),
        })?;
        let order = match file.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        Ok(Self { bytes, order })
    }

    pub(super) fn dwarf(&self) -> Dwarf<'_> {
        self.bytes
            .borrow(|section| EndianSlice::new(section, self.order))
    }
}

/// All debug sections of a name, unpacked and relocated; empty if the file has none.
fn debug_section<'d>(
    file: &File<'d>,
    layout: &Layout,
    id: SectionId,
    budget: &mut Budget,
) -> Result<Cow<'d, [u8]>> {
    let mut whole = Cow::Borrowed(&[][..]);
    let sections = file.sections();
    for section in sections.filter(|section| section.name_bytes() == Ok(id.name().as_bytes())) {
        let part = one_debug_section(file, layout, id, &section, budget)?;
        match whole.is_empty() {
            true => whole = part,
            false => whole.to_mut().extend_from_slice(&part),
        }
        // There can be several in files that were not linked only.
        if file.kind() != ObjectKind::Relocatable {
            break;
        }
    }
    Ok(whole)
}

fn one_debug_section<'d>(
    file: &File<'d>,
    layout: &Layout,
    id: SectionId,
    section: &Section<'d, '_>,
    budget: &mut Budget,
) -> Result<Cow<'d, [u8]>> {
    let fault = in_elf(id.name());
    let compressed = section.compressed_data().map_err(&fault)?;
    let Some(left) = budget.bytes.checked_sub(compressed.uncompressed_size) else {
        return Err(Error::DebugInfo {
            what: id.name().into(),
            source: format!(
                "with {} bytes the debug sections are more than {MOST_INFLATION} times the file",
                compressed.uncompressed_size
            )
            .into(),
        });
    };
    budget.bytes = left;
    let data = compressed.decompress().map_err(&fault)?;
    // Of lists of locations only registers are read.
    let is_list = matches!(id, SectionId::DebugLoc | SectionId::DebugLocLists);
    match file.kind() {
        ObjectKind::Relocatable if !is_list => {
            relocate(file, layout, section, data, &mut budget.relocations)
        }
        _ => Ok(data),
    }
}
