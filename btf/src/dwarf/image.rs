//! The ELF file: its debug sections, its functions, the places of its variables.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use gimli::RunTimeEndian;
use object::elf::SHF_TLS;
use object::{
    Architecture, File, Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags,
    SymbolKind,
};

use super::abi::Abi;
use super::layout::{Layout, in_elf, is_allocated};
use super::sections::{Dwarf, Sections};
use crate::error::{Error, Result};
use crate::raw::Endian;

/// How many times the size of the file all names in it may take, which can share their bytes.
const MOST_NAMES: usize = 8;
/// What names of parts of functions end in.
const PARTS: [&[u8]; 2] = [b".part", b".cold"];
/// What names of functions end in that the compiler changed.
const CHANGED: [&[u8]; 2] = [b".constprop", b".isra"];
/// Where per-CPU variables are.
const PER_CPU: &[u8] = b".data..percpu";

/// An ELF file.
#[derive(Debug)]
pub(super) struct Image<'d> {
    sections: Sections<'d>,
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
        let sections = Sections::load(&file, &layout, data.len())?;
        let pointer_size = if file.is_64() { 8 } else { 4 };
        let mut image = Self {
            sections,
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
        self.sections.dwarf()
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

fn is_tls(flags: SectionFlags) -> bool {
    matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags.contains(SHF_TLS))
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
        match image.sections.order {
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
