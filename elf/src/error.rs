//! What can be wrong with an object file.

/// A file that cannot be taken as a BPF object; each says where and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file does not begin as an ELF file does.
    #[error("not an ELF file: it begins with {begin:02x?}")]
    NotElf {
        /// The first bytes, four at most.
        begin: Vec<u8>,
    },
    /// An ELF file, but not of the one form that BPF objects have.
    #[error("not a BPF object: ELF {field} is {found}, expected {expected}")]
    NotBpf {
        /// The field of the ELF header.
        field: &'static str,
        /// Its value.
        found: u64,
        /// The values it may have.
        expected: &'static str,
    },
    /// A table or section reaches outside the file or has impossible fields.
    #[error("section `{section}` at file offset {offset:#x}: {what}")]
    Section {
        /// Section name, or `#` and its index where the name cannot be read, or the name of a table of the header.
        section: String,
        /// Its offset in the file, bytes.
        offset: u64,
        /// The rule that it breaks.
        what: &'static str,
    },
    /// No symbol table: nothing tells where programs begin.
    #[error("no symbol table (is the object stripped?)")]
    NoSymbols,
    /// A function symbol that does not cover whole instructions of its section.
    #[error(
        "function `{function}` in section `{section}` at offset {offset:#x}, {size} bytes: {what}"
    )]
    Function {
        /// Symbol name.
        function: String,
        /// Section name.
        section: String,
        /// Symbol value: offset in the section, bytes.
        offset: u64,
        /// Symbol size, bytes.
        size: u64,
        /// The rule that it breaks.
        what: &'static str,
    },
}
