//! Sections and what a BPF loader takes each for.

use crate::Bytes;

/// What a section is to a BPF loader, by its name, type and flags (libbpf: `bpf_object__elf_collect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SectionKind {
    /// Debug information, string tables and the like: of no concern.
    Ignored,
    /// `license`.
    License,
    /// `version`.
    Version,
    /// `.maps`: BTF-defined maps.
    Maps,
    /// `maps` and `maps/*`: maps as they were defined before BTF.
    LegacyMaps,
    /// `.BTF`.
    Btf,
    /// `.BTF.ext`.
    BtfExt,
    /// The symbol table.
    SymbolTable,
    /// Instructions: programs, or subprograms if the name is `.text`.
    Code,
    /// `.data` and `.data.*`.
    Data,
    /// `.rodata` and `.rodata.*`.
    Rodata,
    /// `.bss` and `.bss.*`.
    Bss,
    /// `.struct_ops`, `.struct_ops.link`, and both with a leading `?`.
    StructOps,
    /// `.addr_space.1`: initial data of the arena.
    Arena,
    /// `.jumptables`.
    JumpTables,
    /// Relocations (`SHT_REL`).
    Relocations,
    /// Nothing that a loader knows.
    Other,
}

/// One section, with its data (none for `.bss`).
#[derive(Clone, Debug)]
pub struct Section {
    /// Position in the section table.
    pub index: usize,
    /// Name, as in the file.
    pub name: String,
    /// What a loader takes it for.
    pub kind: SectionKind,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Size, bytes; of `.bss` the size in memory.
    pub size: u64,
    /// The bytes, shared with the file.
    pub data: Bytes,
}

pub(crate) struct Header<'a> {
    pub(crate) name: &'a str,
    pub(crate) ty: u32,
    pub(crate) flags: u64,
    pub(crate) size: u64,
}

pub(crate) const SHT_PROGBITS: u32 = 1;
pub(crate) const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_NOBITS: u32 = 8;
const SHT_REL: u32 = 9;
const SHT_LLVM_ADDRSIG: u32 = 0x6fff_4c03;
const SHF_EXECINSTR: u64 = 4;

const STRUCT_OPS: [&str; 4] = [
    ".struct_ops",
    ".struct_ops.link",
    "?.struct_ops",
    "?.struct_ops.link",
];

fn is_or_below(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_ignored(header: &Header<'_>) -> bool {
    let name = header.name;
    header.ty == SHT_STRTAB
        || header.ty == SHT_LLVM_ADDRSIG
        || (header.ty == SHT_PROGBITS && header.size == 0 && name == ".text")
        || name.starts_with(".debug_")
        || name.starts_with(".rel.debug_")
        || name == ".rel.BTF"
        || name == ".rel.BTF.ext"
}

impl SectionKind {
    pub(crate) fn of(header: &Header<'_>) -> Self {
        if is_ignored(header) {
            return Self::Ignored;
        }
        match header.name {
            "license" => return Self::License,
            "version" => return Self::Version,
            ".maps" => return Self::Maps,
            name if name == "maps" || name.starts_with("maps/") => return Self::LegacyMaps,
            ".BTF" => return Self::Btf,
            ".BTF.ext" => return Self::BtfExt,
            _ => {}
        }
        match header.ty {
            SHT_SYMTAB => Self::SymbolTable,
            SHT_PROGBITS if header.size > 0 => Self::of_contents(header),
            SHT_REL => Self::Relocations,
            SHT_NOBITS if is_or_below(header.name, ".bss") => Self::Bss,
            _ => Self::Other,
        }
    }

    fn of_contents(header: &Header<'_>) -> Self {
        match header.name {
            _ if header.flags & SHF_EXECINSTR != 0 => Self::Code,
            name if is_or_below(name, ".data") => Self::Data,
            name if is_or_below(name, ".rodata") => Self::Rodata,
            name if STRUCT_OPS.contains(&name) => Self::StructOps,
            ".addr_space.1" => Self::Arena,
            ".jumptables" => Self::JumpTables,
            _ => Self::Other,
        }
    }

    /// Whether the section becomes an internal map of global data.
    #[must_use]
    pub const fn is_data(self) -> bool {
        matches!(self, Self::Data | Self::Rodata | Self::Bss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, ty: u32, flags: u64, size: u64) -> SectionKind {
        SectionKind::of(&Header {
            name,
            ty,
            flags,
            size,
        })
    }

    #[test]
    fn names_types_and_flags_decide() {
        assert_eq!(
            kind(".text", SHT_PROGBITS, SHF_EXECINSTR, 8),
            SectionKind::Code
        );
        assert_eq!(
            kind(".text", SHT_PROGBITS, SHF_EXECINSTR, 0),
            SectionKind::Ignored
        );
        assert_eq!(
            kind("xdp", SHT_PROGBITS, SHF_EXECINSTR, 8),
            SectionKind::Code
        );
        assert_eq!(
            kind(".rodata.str1.1", SHT_PROGBITS, 0, 8),
            SectionKind::Rodata
        );
        assert_eq!(kind(".rodata2", SHT_PROGBITS, 0, 8), SectionKind::Other);
        assert_eq!(kind(".data", SHT_PROGBITS, 0, 0), SectionKind::Other);
        assert_eq!(kind(".bss.x", SHT_NOBITS, 0, 8), SectionKind::Bss);
        assert_eq!(
            kind("?.struct_ops.link", SHT_PROGBITS, 0, 8),
            SectionKind::StructOps
        );
        assert_eq!(
            kind(".debug_info", SHT_PROGBITS, 0, 8),
            SectionKind::Ignored
        );
        assert_eq!(kind(".rel.BTF", SHT_REL, 0, 16), SectionKind::Ignored);
        assert_eq!(kind(".relxdp", SHT_REL, 0, 16), SectionKind::Relocations);
        assert_eq!(kind(".rela.x", 4, 0, 24), SectionKind::Other);
    }
}
