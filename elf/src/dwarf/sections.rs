//! The debug sections of a linked file, unpacked.

use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::{File, Object as _, ObjectKind, ObjectSection as _};

use super::DwarfError;
use crate::Bytes;

/// A part of a debug section.
pub(super) type Slice<'d> = EndianSlice<'d, RunTimeEndian>;
/// All debug sections.
pub(super) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;

/// How many times the size of the file its debug sections may take. Compressed ones shrink to a
/// third or so; a file in which many sections are the same bytes is no compiler's.
const MOST_INFLATION: u64 = 32;
/// The debug sections that are read.
const SECTIONS: [SectionId; 9] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// The bytes of all debug sections that are read.
#[derive(Debug)]
pub(super) struct Sections {
    bytes: DwarfSections<Bytes>,
    order: RunTimeEndian,
    size: u64,
}

impl Sections {
    pub(super) fn load(bytes: &Bytes) -> Result<Self, DwarfError> {
        let broken = |error: object::read::Error| DwarfError::Elf(error.to_string());
        let file = File::parse(&**bytes).map_err(broken)?;
        if file.kind() == ObjectKind::Relocatable {
            return Err(DwarfError::Elf("the file was not linked".to_owned()));
        }
        let most = (bytes.len() as u64).saturating_mul(MOST_INFLATION);
        let mut size: u64 = 0;
        let sections = DwarfSections::load(|id| {
            let section = SECTIONS
                .contains(&id)
                .then(|| file.section_by_name(id.name()))
                .flatten();
            let Some(section) = section else {
                return Ok(Bytes::default());
            };
            let packed = section.compressed_data().map_err(broken)?;
            size = size.saturating_add(packed.uncompressed_size);
            if size > most {
                let what = format!("its sections are more than {MOST_INFLATION} times the file");
                return Err(DwarfError::Elf(what));
            }
            let is_packed = packed.format != object::CompressionFormat::None;
            // What is not packed is not copied.
            let range = section.file_range().filter(|_| !is_packed);
            let part = range.and_then(|(start, len)| {
                let start = usize::try_from(start).ok()?;
                bytes.slice(start..start.checked_add(usize::try_from(len).ok()?)?)
            });
            match part {
                Some(part) => Ok(part),
                None => Ok(packed.decompress().map_err(broken)?.into_owned().into()),
            }
        })?;
        if size == 0 {
            return Err(DwarfError::None);
        }
        Ok(Self {
            bytes: sections,
            order: match file.is_little_endian() {
                true => RunTimeEndian::Little,
                false => RunTimeEndian::Big,
            },
            size,
        })
    }

    /// Bytes of all.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn dwarf(&self) -> Dwarf<'_> {
        self.bytes
            .borrow(|section| EndianSlice::new(section, self.order))
    }
}
