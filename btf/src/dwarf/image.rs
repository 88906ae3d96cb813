//! The ELF file: its debug sections ready to be read, its functions, the places of its variables.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use gimli::{DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::elf::{SHF_ALLOC, SHF_TLS};
use object::{
    Architecture, File, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _,
    SectionFlags, SectionIndex, SymbolKind,
};

use super::abi::Abi;
use super::relocate::relocate;
use crate::error::{Error, Result};
use crate::raw::Endian;

/// A part of a debug section.
pub(super) type Slice<'d> = EndianSlice<'d, RunTimeEndian>;
/// All debug sections.
pub(super) type Dwarf<'d> = gimli::Dwarf<Slice<'d>>;

/// How many times the size of the file all names in it may take, which can share their bytes.
const MOST_NAMES: usize = 8;
/// How many times the size of the file its debug sections may take. Compressed ones shrink to a
/// third or so; a file in which many sections are the same bytes is no compiler's.
const MOST_INFLATION: u64 = 32;
/// Where the sections of a file that was not linked are put, so that address 0 is none of them.
const FIRST_ADDRESS: u64 = 0x1000;
/// What names of parts of functions end in.
const PARTS: [&[u8]; 2] = [b".part", b".cold"];
/// What names of functions end in that the compiler changed.
const CHANGED: [&[u8]; 2] = [b".constprop", b".isra"];
/// Where per-CPU variables are.
const PER_CPU: &[u8] = b".data..percpu";
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

/// An ELF file.
#[derive(Debug)]
pub(super) struct Image<'d> {
    sections: DwarfSections<Cow<'d, [u8]>>,
    order: RunTimeEndian,
    /// Whether its code is BPF.
    pub(super) is_bpf: bool,
    /// Bytes of a pointer.
    pub(super) pointer_size: u32,
    pub(super) abi: Abi,
    pub(super) functions: Symbols<'d>,
    pub(super) places: Vec<Section<'d>>,
    /// The variables at the start of each place.
    first_variables: HashSet<(usize, &'d [u8])>,
}

/// How much may be taken out of a file; parts of it can be the same bytes.
#[derive(Debug)]
struct Budget {
    /// Bytes of debug sections.
    bytes: u64,
    relocations: usize,
}

/// A section that variables can be in.
#[derive(Clone, Debug)]
pub(super) struct Section<'d> {
    pub(super) name: &'d [u8],
    pub(super) is_per_cpu: bool,
    address: u64,
    size: u64,
}

/// The functions of a symbol table by name.
#[derive(Debug, Default)]
pub(super) struct Symbols<'d> {
    /// Whether there are any, those included that do not count.
    is_there: bool,
    by_name: HashMap<&'d [u8], Symbol>,
    /// Where functions are that the compiler changed.
    changed: HashSet<u64>,
}

/// All symbols of one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    /// The address of the first.
    pub(super) address: u64,
    /// Whether others have other addresses.
    pub(super) is_ambiguous: bool,
}

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
    fn new(file: &File<'_>) -> Self {
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

fn is_allocated(flags: SectionFlags) -> bool {
    matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(SHF_ALLOC))
}

fn is_tls(flags: SectionFlags) -> bool {
    matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(SHF_TLS))
}

pub(super) fn in_elf(what: &'static str) -> impl Fn(object::read::Error) -> Error {
    move |source| Error::DebugInfo {
        what: what.into(),
        source: source.into(),
    }
}

impl<'d> Image<'d> {
    /// Reads all of a file that is needed; `optimized` says whether functions count that the
    /// compiler changed.
    pub(super) fn parse(data: &'d [u8], optimized: bool) -> Result<Self> {
        let file = File::parse(data).map_err(in_elf("the ELF file"))?;
        let (File::Elf64(_) | File::Elf32(_)) = &file else {
            return Err(Error::Unsupported {
                what: "debug information in a file that is not ELF",
            });
        };
        let mut names = data.len().saturating_mul(MOST_NAMES);
        let len = |name: object::Result<&[u8]>| name.map_or(0, <[u8]>::len);
        check_names(&mut names, file.sections().map(|s| len(s.name_bytes())))?;
        check_names(&mut names, symbols(&file).map(|s| len(s.name_bytes())))?;
        let layout = Layout::new(&file);
        let order = match file.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        let mut budget = Budget {
            bytes: (data.len() as u64).saturating_mul(MOST_INFLATION),
            relocations: data.len(),
        };
        let sections = DwarfSections::load(|id| match SECTIONS.contains(&id) {
            true => debug_section(&file, &layout, id, &mut budget),
            false => Ok(Cow::Borrowed(&[][..])),
        })?;
        let pointer_size = if file.is_64() { 8 } else { 4 };
        let mut image = Self {
            sections,
            order,
            is_bpf: file.architecture() == Architecture::Bpf,
            pointer_size,
            abi: Abi::new(file.architecture(), pointer_size),
            functions: Symbols::new(&file, &layout, optimized),
            places: places(&file, &layout),
            first_variables: HashSet::new(),
        };
        for symbol in symbols(&file).filter(|symbol| symbol.kind() == SymbolKind::Data) {
            let address = layout.symbol(symbol.section_index(), symbol.address());
            if let (Some((place, 0)), Ok(name)) = (image.place(address), symbol.name_bytes()) {
                image.first_variables.insert((place, name));
            }
        }
        Ok(image)
    }

    /// Whether a symbol says that this variable is at the start of a place.
    pub(super) fn has_variable(&self, place: usize, name: &[u8]) -> bool {
        self.first_variables.contains(&(place, name))
    }

    pub(super) fn dwarf(&self) -> Dwarf<'_> {
        self.sections
            .borrow(|section| EndianSlice::new(section, self.order))
    }

    /// The number of the section that an address is in, and how far into it.
    pub(super) fn place(&self, address: u64) -> Option<(usize, u64)> {
        let behind = self.places.partition_point(|s| s.address <= address);
        let number = behind.checked_sub(1)?;
        let section = self.places.get(number)?;
        let offset = address.checked_sub(section.address)?;
        (offset < section.size).then_some((number, offset))
    }
}

/// Finds out whether names take no more than so many bytes.
fn check_names(left: &mut usize, lengths: impl Iterator<Item = usize>) -> Result<()> {
    for len in lengths {
        *left = left.checked_sub(len).ok_or(Error::TooLarge {
            what: "bytes of names that overlap",
        })?;
    }
    Ok(())
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
    section: &object::Section<'d, '_>,
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

/// The sections that variables can be in, by address.
fn places<'d>(file: &File<'d>, layout: &Layout) -> Vec<Section<'d>> {
    let mut places: Vec<_> = file
        .sections()
        .filter(|section| {
            let flags = section.flags();
            is_allocated(flags) && !is_tls(flags) && section.size() != 0
        })
        .filter_map(|section| {
            let name = section.name_bytes().ok()?;
            Some(Section {
                name,
                is_per_cpu: name == PER_CPU,
                address: layout.section(section.index()),
                size: section.size(),
            })
        })
        .collect();
    places.sort_by_key(|section| section.address);
    places
}

/// What the file defines.
fn symbols<'f, 'd>(file: &'f File<'d>) -> impl Iterator<Item = object::Symbol<'d, 'f>> {
    let table = match file.symbol_table() {
        Some(_) => file.symbols(),
        None => file.dynamic_symbols(),
    };
    table.filter(|symbol| !symbol.is_undefined())
}

impl<'d> Symbols<'d> {
    fn new(file: &File<'d>, layout: &Layout, optimized: bool) -> Self {
        let mut symbols = Self::default();
        for symbol in self::symbols(file).filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let Ok(full_name) = symbol.name_bytes() else {
                continue;
            };
            symbols.is_there = true;
            let Some(name) = plain(full_name, optimized) else {
                continue;
            };
            let address = layout.symbol(symbol.section_index(), symbol.address());
            let suffix = full_name.get(name.len()..).unwrap_or_default();
            if CHANGED.iter().any(|part| has_part(suffix, part)) {
                symbols.changed.insert(address);
            }
            match symbols.by_name.entry(name) {
                Entry::Vacant(slot) => {
                    slot.insert(Symbol {
                        address,
                        is_ambiguous: false,
                    });
                }
                Entry::Occupied(mut slot) => {
                    let known = slot.get_mut();
                    known.is_ambiguous |= known.address != address;
                }
            }
        }
        symbols
    }

    /// Whether the file says which functions it has.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Whether the function at an address may not be called as its prototype says.
    pub(super) fn is_changed(&self, address: u64) -> bool {
        self.changed.contains(&address)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Symbol> {
        self.by_name.get(name).copied()
    }
}

/// The name in the source of a symbol, unless it is a part of a function or a changed one that
/// does not count.
fn plain(name: &[u8], optimized: bool) -> Option<&[u8]> {
    let Some(dot) = name.iter().position(|byte| *byte == b'.') else {
        return Some(name);
    };
    let (plain, suffix) = name.split_at_checked(dot)?;
    let is_part = PARTS.iter().any(|part| has_part(suffix, part));
    (optimized && !is_part).then_some(plain)
}

fn has_part(suffix: &[u8], part: &[u8]) -> bool {
    suffix.windows(part.len()).any(|window| window == part)
}

/// The byte order of BTF made of this image.
impl From<&Image<'_>> for Endian {
    fn from(image: &Image<'_>) -> Self {
        match image.order {
            RunTimeEndian::Little => Self::Little,
            RunTimeEndian::Big => Self::Big,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_functions_have_their_plain_name_if_they_count() {
        for (symbol, always, optimized) in [
            ("f", Some("f"), Some("f")),
            ("f.isra.0", None, Some("f")),
            ("f.constprop.0.isra.1", None, Some("f")),
            ("f.part.0", None, None),
            ("f.isra.0.cold", None, None),
            ("f.cold", None, None),
        ] {
            let name = |optimized| plain(symbol.as_bytes(), optimized);
            assert_eq!(name(false), always.map(str::as_bytes), "{symbol}");
            assert_eq!(name(true), optimized.map(str::as_bytes), "{symbol}");
        }
    }
}
