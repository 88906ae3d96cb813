//! Executables and libraries of the host: where in the file a function is.
//!
//! A uprobe is set on an offset in a file, and what one knows is a name. The rules are libbpf's: the
//! dynamic symbols first, then the others; functions only; a name may ask for a version. What neither
//! has may be in a debug file ([`Executable::with_debug_file`]), which libbpf does not look at.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use hashbrown::HashMap;
use object::elf::{self, FileHeader32, FileHeader64, SectionType};
use object::read::elf::{FileHeader, SectionHeader as _, SectionTable, Sym as _, SymbolTable};
use object::{Endianness, FileKind, ReadCache, ReadRef, SymbolIndex};

use crate::Bytes;
use crate::budget::Budget;

mod data;
mod debug;
mod system;

use data::{Data, Positioned};
use debug::Segments;

pub use debug::DebugLink;

/// A binary that cannot be understood, or does not answer clearly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The file cannot be read.
    #[error("the file cannot be read: {what}")]
    Read {
        /// What the system said.
        what: String,
    },
    /// The file is no ELF file of 32 or 64 bits.
    #[error("not an ELF file")]
    NotElf,
    /// A table of the file reaches outside it, or has impossible fields.
    #[error("ELF {table}: {what}")]
    Table {
        /// Which table.
        table: &'static str,
        /// The rule that it breaks.
        what: String,
    },
    /// Two functions have the name, and neither is weak.
    #[error("symbol `{symbol}` is at file offsets {first:#x} and {second:#x}, expected one place")]
    Ambiguous {
        /// The name asked for.
        symbol: String,
        /// File offset of the first, bytes.
        first: u64,
        /// File offset of the second, bytes.
        second: u64,
    },
}

/// A function symbol of a binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFunction<'a> {
    /// Name; in the full symbol table a version is part of it, after `@` or `@@`.
    pub name: &'a str,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Another definition of the same name takes its place.
    pub weak: bool,
    /// Version, if it has one and it was asked for.
    pub version: Option<&'a str>,
}

/// An executable or a library.
#[derive(Clone, Debug)]
pub struct Executable {
    data: Data,
    is_64: bool,
    debug: Option<(Data, Segments)>,
}

/// What is read of the symbols.
#[derive(Clone, Copy)]
enum Table {
    Dynamic,
    Full,
    /// The full one, in the debug file.
    Debug,
}

impl Table {
    const fn section_type(self) -> SectionType {
        match self {
            Self::Dynamic => elf::SHT_DYNSYM,
            Self::Full | Self::Debug => elf::SHT_SYMTAB,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic symbols",
            Self::Full => "symbols",
            Self::Debug => "symbols of the debug file",
        }
    }
}

/// A name as asked for: `function`, `function@VERSION` or `function@@VERSION`.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    full: &'a str,
    name: &'a str,
    version: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn new(full: &'a str) -> Self {
        match full.split_once('@') {
            Some((name, version)) => {
                let version = version.strip_prefix('@').unwrap_or(version);
                Self {
                    full,
                    name,
                    version: Some(version),
                }
            }
            None => Self {
                full,
                name: full,
                version: None,
            },
        }
    }

    fn matches(self, table: Table, function: &HostFunction<'_>) -> bool {
        let named = function
            .name
            .strip_prefix(self.name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
        named
            && match (self.version, table) {
                (None, _) => true,
                (Some(version), Table::Dynamic) => function.version == Some(version),
                (Some(_), Table::Full | Table::Debug) => function.name == self.full,
            }
    }
}

impl Executable {
    /// Takes the contents of a file.
    ///
    /// # Errors
    /// [`HostError::NotElf`].
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, HostError> {
        let bytes = bytes.into();
        let kind = FileKind::parse(&*bytes);
        Self::of_kind(kind, Data::Bytes(bytes))
    }

    /// Takes a file, of which parts are read when they are asked for.
    ///
    /// # Errors
    /// [`HostError::NotElf`], [`HostError::Read`].
    pub fn open(file: File) -> Result<Self, HostError> {
        // What cannot be read is not said to be something else.
        Positioned::new(&file).read(&mut [0]).map_err(unread)?;
        let kind = FileKind::parse(&ReadCache::new(Positioned::new(&file)));
        Self::of_kind(kind, Data::File(Arc::new(file)))
    }

    fn of_kind(kind: object::Result<FileKind>, data: Data) -> Result<Self, HostError> {
        let is_64 = match kind {
            Ok(FileKind::Elf64) => true,
            Ok(FileKind::Elf32) => false,
            _ => return Err(HostError::NotElf),
        };
        Ok(Self {
            data,
            is_64,
            debug: None,
        })
    }

    /// The contents of the whole file.
    ///
    /// # Errors
    /// [`HostError::Read`].
    pub fn bytes(&self) -> Result<Bytes, HostError> {
        self.data.whole().map_err(unread)
    }

    /// Where the function `symbol` begins, as an offset in the file in bytes; `None` if it is not
    /// defined here. `symbol@VERSION` (or with `@@`) is the one of that version.
    ///
    /// # Errors
    /// A broken table, or [`HostError::Ambiguous`].
    #[doc(alias = "elf_find_func_offset")]
    pub fn symbol_offset(&self, symbol: &str) -> Result<Option<u64>, HostError> {
        let wanted = Wanted::new(symbol);
        for table in [Table::Dynamic, Table::Full, Table::Debug] {
            let mut found = Candidate::default();
            self.walk(table, wanted.version.is_some(), |function| {
                if wanted.matches(table, function) {
                    found.add(symbol, function)
                } else {
                    Ok(())
                }
            })?;
            if found.offset != 0 {
                return Ok(Some(found.offset));
            }
        }
        Ok(None)
    }

    /// The same for many plain names at once, by one walk; an item of the result is `None` for a
    /// name that is not defined here.
    ///
    /// # Errors
    /// As [`Self::symbol_offset`].
    #[doc(alias = "elf_resolve_syms_offsets")]
    pub fn symbol_offsets(&self, symbols: &[&str]) -> Result<Vec<Option<u64>>, HostError> {
        let mut found: HashMap<&str, Candidate> = symbols
            .iter()
            .map(|symbol| (*symbol, Candidate::default()))
            .collect();
        for table in [Table::Dynamic, Table::Full, Table::Debug] {
            if found.values().all(|candidate| candidate.offset != 0) {
                break;
            }
            // What the first table has, the second is not asked for.
            let mut here: HashMap<&str, Candidate> = HashMap::new();
            self.walk(table, false, |function| {
                match found.get_key_value(function.name) {
                    Some((symbol, done)) if done.offset == 0 => {
                        here.entry(symbol).or_default().add(symbol, function)
                    }
                    _ => Ok(()),
                }
            })?;
            found.extend(here);
        }
        let offset = |symbol: &&str| found.get(symbol).map(|it| it.offset).filter(|it| *it != 0);
        Ok(symbols.iter().map(offset).collect())
    }

    /// The file offsets of all functions whose name `accepts`: of the full table if it has any, or
    /// else of that of the debug file, or else of the dynamic one.
    ///
    /// # Errors
    /// A broken table.
    #[doc(alias = "elf_resolve_pattern_offsets")]
    pub fn matching_offsets(&self, accepts: impl Fn(&str) -> bool) -> Result<Vec<u64>, HostError> {
        let mut offsets = Vec::new();
        for table in [Table::Full, Table::Debug, Table::Dynamic] {
            self.walk(table, false, |function| {
                if function.offset != 0 && accepts(function.name) {
                    offsets.push(function.offset);
                }
                Ok(())
            })?;
            if !offsets.is_empty() {
                break;
            }
        }
        Ok(offsets)
    }

    /// Calls `visit` with each function symbol of a table, in the order of the file.
    fn walk(
        &self,
        table: Table,
        versions: bool,
        mut visit: impl FnMut(&HostFunction<'_>) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let (data, segments) = match (table, &self.debug) {
            (Table::Debug, None) => return Ok(()),
            (Table::Debug, Some((data, segments))) => (data, Some(segments)),
            _ => (&self.data, None),
        };
        let visit = |mut function: HostFunction<'_>, address: u64| {
            if let Some(segments) = segments {
                // The offsets of a debug file are of what it does not have.
                let Some(offset) = segments.offset(address) else {
                    return Ok(());
                };
                function.offset = offset;
            }
            visit(&function)
        };
        let walk = Walk { table, versions };
        match data {
            Data::Bytes(bytes) => walk.of_class(&**bytes, self.is_64, visit),
            Data::File(file) => {
                let cache = ReadCache::new(Positioned::new(file));
                walk.of_class(&cache, self.is_64, visit)
            }
        }
    }
}

/// The symbol found so far.
#[derive(Clone, Copy, Default)]
struct Candidate {
    /// 0 for none.
    offset: u64,
    weak: bool,
}

impl Candidate {
    fn add(&mut self, symbol: &str, function: &HostFunction<'_>) -> Result<(), HostError> {
        if self.offset != 0 {
            if self.offset == function.offset || function.weak {
                return Ok(());
            }
            if !self.weak {
                return Err(HostError::Ambiguous {
                    symbol: symbol.to_owned(),
                    first: self.offset,
                    second: function.offset,
                });
            }
        }
        *self = Self {
            offset: function.offset,
            weak: function.weak,
        };
        Ok(())
    }
}

/// A walk through a table of symbols.
#[derive(Clone, Copy)]
struct Walk {
    table: Table,
    versions: bool,
}

impl Walk {
    fn of_class<'d, R: ReadRef<'d>>(
        self,
        data: R,
        is_64: bool,
        visit: impl FnMut(HostFunction<'_>, u64) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        match is_64 {
            true => self.through::<FileHeader64<Endianness>, R>(data, visit),
            false => self.through::<FileHeader32<Endianness>, R>(data, visit),
        }
    }

    fn through<'d, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'d>>(
        self,
        data: R,
        mut visit: impl FnMut(HostFunction<'_>, u64) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let table = self.table;
        let header = Elf::parse(data).map_err(in_table("header"))?;
        let endian = header.endian().map_err(in_table("header"))?;
        let sections = header
            .sections(endian, data)
            .map_err(in_table("section headers"))?;
        let symbols = sections
            .symbols(endian, data, table.section_type())
            .map_err(in_table(table.name()))?;
        if symbols.is_empty() {
            return Ok(());
        }
        // All names at once: by itself each would be read from the file.
        let names = sections.section(symbols.string_section());
        let names = names.and_then(|section| section.data(endian, data));
        let names = names.map_err(in_table(table.name()))?;
        if names.last().is_some_and(|last| *last != 0) {
            // Looking for the end of a name that has none would take the whole table each time.
            return Err(in_names(table, "the last name has no end"));
        }
        let versions = match (table, self.versions) {
            (Table::Dynamic, true) => Versions::read(endian, data, &sections, &symbols)?,
            _ => Versions::default(),
        };
        let len = data
            .len()
            .map_err(|()| in_names(table, "the file has no length"))?;
        let mut budget = Budget::of(len);
        for (index, symbol) in symbols.enumerate() {
            if symbol.st_type() != elf::STT_FUNC {
                continue;
            }
            // An index that stands for no section (absolute, common) has no place in the file either.
            let section = usize::from(symbol.st_shndx(endian).0);
            let Ok(section) = sections.section(object::SectionIndex(section)) else {
                continue;
            };
            let start = usize::try_from(symbol.st_name(endian)).unwrap_or(usize::MAX);
            let name = names.get(start..).map(CStr::from_bytes_until_nul);
            let Some(Ok(name)) = name else {
                continue;
            };
            budget
                .spend(name.count_bytes())
                .ok_or_else(|| in_names(table, "the names overlap too much"))?;
            let Ok(name) = name.to_str() else {
                continue;
            };
            let value: u64 = symbol.st_value(endian).into();
            let (address, start): (u64, u64) = (
                section.sh_addr(endian).into(),
                section.sh_offset(endian).into(),
            );
            let function = HostFunction {
                name,
                offset: value.wrapping_sub(address).wrapping_add(start),
                weak: symbol.st_bind() == elf::STB_WEAK,
                version: versions.of(index),
            };
            visit(function, value)?;
        }
        Ok(())
    }
}

fn unread(error: io::Error) -> HostError {
    HostError::Read {
        what: error.to_string(),
    }
}

fn as_str(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn in_names(table: Table, what: &str) -> HostError {
    HostError::Table {
        table: table.name(),
        what: what.to_owned(),
    }
}

fn in_table(table: &'static str) -> impl Fn(object::read::Error) -> HostError {
    move |error| HostError::Table {
        table,
        what: error.to_string(),
    }
}

/// The versions that a library defines. (Those that it needs are of symbols defined elsewhere.)
#[derive(Default)]
struct Versions<'a> {
    symbols: Vec<u16>,
    names: HashMap<u16, &'a str>,
}

impl<'a> Versions<'a> {
    /// The bit that hides a version from the linker.
    const HIDDEN: u16 = 0x8000;

    fn read<Elf: FileHeader<Endian = Endianness>, R: ReadRef<'a>>(
        endian: Endianness,
        bytes: R,
        sections: &SectionTable<'a, Elf, R>,
        symbols: &SymbolTable<'a, Elf, R>,
    ) -> Result<Self, HostError> {
        let broken = in_table("symbol versions");
        let Some((indices, _)) = sections.gnu_versym(endian, bytes).map_err(&broken)? else {
            return Ok(Self::default());
        };
        let symbols_of = |it: &elf::Versym<Endianness>| it.0.get(endian).0 & !Self::HIDDEN;
        let mut versions = Self {
            symbols: indices.iter().map(symbols_of).collect(),
            names: HashMap::new(),
        };
        let Some((mut definitions, _)) = sections.gnu_verdef(endian, bytes).map_err(&broken)?
        else {
            return Ok(versions);
        };
        while let Some((definition, mut names)) = definitions.next().map_err(&broken)? {
            let Some(name) = names.next().map_err(&broken)? else {
                continue;
            };
            let name = name.name(endian, symbols.strings()).map_err(&broken)?;
            if let Some(name) = as_str(name) {
                versions
                    .names
                    .entry(definition.vd_ndx.get(endian).0)
                    .or_insert(name);
            }
        }
        Ok(versions)
    }

    fn of(&self, symbol: SymbolIndex) -> Option<&'a str> {
        self.symbols
            .get(symbol.0)
            .and_then(|index| self.names.get(index))
            .copied()
    }
}

#[cfg(test)]
mod tests;
