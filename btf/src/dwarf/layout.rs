//! Where the sections of the ELF file are, linked or not.

use std::collections::HashMap;

use object::elf::SHF_ALLOC;
use object::{File, Object as _, ObjectKind, ObjectSection as _, SectionFlags, SectionIndex};

use crate::error::Error;

/// Where the sections of a file that was not linked are put, so that address 0 is none of them.
const FIRST_ADDRESS: u64 = 0x1000;

/// Where each section of a file is in memory, or would be.
///
/// In a file that was not linked, several debug sections can have one name (those of type units).
/// They are read one behind the other, and each is as far from 0 as it is from the first of them.
#[derive(Debug)]
pub(super) struct Layout {
    by_index: Vec<u64>,
    is_linked: bool,
}

impl Layout {
    pub(super) fn new(file: &File<'_>) -> Self {
        let mut layout = Self {
            by_index: Vec::new(),
            is_linked: file.kind() != ObjectKind::Relocatable,
        };
        let mut next = FIRST_ADDRESS;
        let mut debug = HashMap::new();
        for section in file.sections() {
            let mut address = section.address();
            if !layout.is_linked && is_allocated(section.flags()) {
                let align = section.align().max(1);
                address = next.checked_next_multiple_of(align).unwrap_or(next);
                // Sections past the end of the address space are nowhere, and nothing is in them.
                next = address.saturating_add(section.size()).saturating_add(1);
            } else if !layout.is_linked
                && let (Ok(name), Ok(data)) = (section.name_bytes(), section.compressed_data())
            {
                let end: &mut u64 = debug.entry(name).or_default();
                address = *end;
                *end = address.saturating_add(data.uncompressed_size);
            }
            let index = section.index().0;
            if index >= layout.by_index.len() {
                layout.by_index.resize(index.saturating_add(1), 0);
            }
            if let Some(slot) = layout.by_index.get_mut(index) {
                *slot = address;
            }
        }
        layout
    }

    /// The address of a section; 0 for one that is not in memory.
    pub(super) fn section(&self, index: SectionIndex) -> u64 {
        self.by_index.get(index.0).copied().unwrap_or(0)
    }

    /// The address of something in a section, given as a symbol has it.
    pub(super) fn symbol(&self, section: Option<SectionIndex>, value: u64) -> u64 {
        match section {
            Some(index) if !self.is_linked => self.section(index).wrapping_add(value),
            _ => value,
        }
    }
}

/// Whether a section is in memory.
pub(super) fn is_allocated(flags: SectionFlags) -> bool {
    matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(SHF_ALLOC))
}

/// The error for a part of the file that cannot be read.
pub(super) fn in_elf(what: &'static str) -> impl Fn(object::read::Error) -> Error {
    move |source| Error::DebugInfo {
        what: what.into(),
        source: source.into(),
    }
}
