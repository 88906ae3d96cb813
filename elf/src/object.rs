//! A BPF object file, read: sections, symbols, relocations and functions, all owned.

use purebpf_insn::{Endian, Insn};

use crate::{Bytes, Error, Section, SectionKind, read};

/// Where a symbol is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolPlace {
    /// Nowhere in this object (`SHN_UNDEF`): an extern.
    Undefined,
    /// In the section with this index.
    Section(usize),
    /// A reserved section number such as `SHN_ABS` or `SHN_COMMON`.
    Reserved(u16),
}

/// What a symbol names (`STT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// Nothing said; what externs are.
    None,
    /// A variable.
    Object,
    /// A function.
    Function,
    /// A section.
    Section,
    /// Any other number.
    Other(u8),
}

/// Who sees a symbol (`STB_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// This object only.
    Local,
    /// All objects.
    Global,
    /// All objects, and another definition wins; as an extern, it may be missing.
    Weak,
    /// Any other number.
    Other(u8),
}

/// One entry of the symbol table.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Name; empty for most section symbols.
    pub name: String,
    /// Where it is defined.
    pub place: SymbolPlace,
    /// What it names.
    pub kind: SymbolKind,
    /// Who sees it.
    pub binding: Binding,
    /// Hidden or internal visibility: global in the file, static to the verifier.
    pub hidden: bool,
    /// Offset in its section, bytes.
    pub value: u64,
    /// Size, bytes.
    pub size: u64,
}

impl Symbol {
    /// An extern that a loader resolves (libbpf: `sym_is_extern`).
    #[must_use]
    pub const fn is_extern(&self) -> bool {
        matches!(self.place, SymbolPlace::Undefined)
            && matches!(self.binding, Binding::Global | Binding::Weak)
            && matches!(self.kind, SymbolKind::None)
    }

    /// The section that it is defined in, if it is one of this object's.
    #[must_use]
    pub const fn section(&self) -> Option<usize> {
        match self.place {
            SymbolPlace::Section(index) => Some(index),
            SymbolPlace::Undefined | SymbolPlace::Reserved(_) => None,
        }
    }
}

/// One relocation. Its type number says nothing that the instruction does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Offset in the target section, bytes.
    pub offset: u64,
    /// Index in the symbol table.
    pub symbol: usize,
}

/// The relocations of one section.
#[derive(Clone, Debug)]
pub struct Relocations {
    /// Index of the section that they change.
    pub target: usize,
    /// In file order.
    pub entries: Vec<Relocation>,
}

/// A function cut out of an executable section by its symbol.
#[derive(Clone, Debug)]
pub struct Function {
    /// Symbol name.
    pub name: String,
    /// Index of its section.
    pub section: usize,
    /// Index of its first instruction in the section.
    pub insn_offset: usize,
    /// Its instructions, in this machine's byte order.
    pub insns: Vec<Insn>,
    /// Who sees it.
    pub binding: Binding,
    /// Hidden or internal visibility.
    pub hidden: bool,
}

/// A BPF object file, read but not interpreted.
///
/// Functions are sorted by section and place, the order in which libbpf shows programs. Those in
/// `.text` are subprograms.
#[derive(Clone, Debug)]
pub struct Object {
    /// Byte order of the file.
    pub endian: Endian,
    /// All sections, with the empty one at index 0.
    pub sections: Vec<Section>,
    /// The symbol table, with the empty one at index 0.
    pub symbols: Vec<Symbol>,
    /// Relocations of executable sections, of `.maps` and of struct_ops sections.
    pub relocations: Vec<Relocations>,
    /// Every function of every executable section.
    pub functions: Vec<Function>,
    /// The text of `license`, 63 bytes at most; empty if there is none.
    pub license: String,
    /// The number in `version`.
    pub version: Option<u32>,
}

impl Object {
    /// Reads an object file.
    ///
    /// Accepted: ELF, 64 bits, either byte order, relocatable, machine `EM_BPF` (or none, as very
    /// old LLVM wrote).
    ///
    /// # Errors
    /// An [`Error`] that names the section and offset.
    ///
    /// # Source
    /// libbpf `bpf_object__elf_init`, `bpf_object__elf_collect`, `bpf_object__add_programs`.
    #[doc(alias = "bpf_object__open_mem")]
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        read::object(&bytes.into())
    }

    /// The section of this kind; of several, the last.
    #[must_use]
    pub fn section_of(&self, kind: SectionKind) -> Option<&Section> {
        self.sections.iter().rfind(|section| section.kind == kind)
    }

    /// The name of a section; empty for an index that the file does not have.
    #[must_use]
    pub fn section_name(&self, index: usize) -> &str {
        self.sections.get(index).map_or("", |section| &section.name)
    }

    /// The section of subprograms.
    #[must_use]
    pub fn text(&self) -> Option<&Section> {
        self.sections
            .iter()
            .find(|s| s.kind == SectionKind::Code && s.name == ".text")
    }

    /// The name that errors give a symbol: its own, or that of its section.
    #[must_use]
    pub fn symbol_name(&self, index: usize) -> &str {
        match self.symbols.get(index) {
            Some(symbol) if !symbol.name.is_empty() => &symbol.name,
            Some(symbol) => symbol
                .section()
                .map_or("", |section| self.section_name(section)),
            None => "",
        }
    }

    /// The function that covers an instruction of a section.
    #[must_use]
    pub fn function_at(&self, section: usize, insn: usize) -> Option<usize> {
        let after = self
            .functions
            .partition_point(|f| (f.section, f.insn_offset) <= (section, insn));
        let index = after.checked_sub(1)?;
        let function = self.functions.get(index)?;
        let inside = function.section == section
            && insn.checked_sub(function.insn_offset)? < function.insns.len();
        inside.then_some(index)
    }
}
