//! ELF intake: BPF objects, and the host's executables that probes attach to.
//!
//! ```text
//! bytes.rs    owned, shared bytes
//! section.rs  sections, and what a BPF loader takes each for
//! object.rs   a BPF object: sections, symbols, relocations, functions
//! read.rs     how it is read
//! budget.rs   how much may be taken out of a file
//! find.rs     one section of any ELF file
//! host.rs     executables and libraries: where a symbol is in the file
//! dwarf/      their source lines and functions (feature `dwarf`)
//! usdt/       their static probes: where they are, and where their arguments are
//! archive.rs  libraries inside ZIP archives
//! ```
//!
//! Bytes come in, owned data goes out; nothing is asked of the system. A file that is not what it
//! says is an [`Error`], whatever its bytes are.

#![forbid(unsafe_code)]

pub mod archive;
mod budget;
mod bytes;
#[cfg(feature = "dwarf")]
pub mod dwarf;
mod error;
mod find;
pub mod host;
mod object;
mod read;
mod section;
pub mod usdt;

pub use bytes::Bytes;
pub use error::Error;
pub use find::find_section;
pub use object::{
    Binding, Function, Object, Relocation, Relocations, Symbol, SymbolKind, SymbolPlace,
};
pub use section::{Section, SectionKind};
