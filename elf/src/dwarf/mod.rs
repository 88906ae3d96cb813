//! Places of a binary by its debug information: source lines, functions, the sites that a function
//! was inlined at (feature `dwarf`).
//!
//! ```text
//! sections.rs   the debug sections, unpacked
//! lines.rs      the addresses of a source line
//! functions.rs  the entries of functions, and of their inlined copies
//! ```
//!
//! A binary or its debug file comes in, addresses go out; [`Executable::offset_of`] says where these
//! are in the file. What a hostile file costs is bounded by its size.
//!
//! [`Executable::offset_of`]: crate::host::Executable::offset_of

mod functions;
mod lines;
mod sections;

use gimli::UnitHeader;

use crate::Bytes;
use sections::{Dwarf, Sections, Slice};

pub use lines::Line;

/// Debug information that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DwarfError {
    /// The file is no ELF file, or one of its tables is broken.
    #[error("debug information: {0}")]
    Elf(String),
    /// The file has none.
    #[error("the file has no debug information (compile with -g)")]
    None,
    /// A debug section that breaks the rules of its format.
    #[error("debug information: {0}")]
    Format(#[from] gimli::Error),
    /// The parts of the file refer to the same bytes so often that it is made to exhaust its reader.
    #[error("debug information: its entries overlap too much")]
    Overlap,
}

/// The debug information of a binary.
#[derive(Debug)]
pub struct DebugInfo {
    sections: Sections,
    /// How many steps there may be in one search; a multiple of what there is to read.
    steps: u64,
}

/// Steps that a search may still take.
struct Steps(u64);

impl Steps {
    fn take(&mut self, count: u64) -> Result<(), DwarfError> {
        self.0 = self.0.checked_sub(count).ok_or(DwarfError::Overlap)?;
        Ok(())
    }
}

impl DebugInfo {
    /// Reads the debug sections of a linked binary, or of its debug file.
    ///
    /// # Errors
    /// [`DwarfError::Elf`], [`DwarfError::None`].
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, DwarfError> {
        let sections = Sections::load(&bytes.into())?;
        let steps = sections.size().saturating_mul(8);
        Ok(Self { sections, steps })
    }

    fn steps(&self) -> Steps {
        Steps(self.steps)
    }

    /// All units of the file.
    fn units<'d>(dwarf: &Dwarf<'d>) -> Result<Vec<Header<'d>>, DwarfError> {
        let mut headers = Vec::new();
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            headers.push(header);
        }
        Ok(headers)
    }
}

type Header<'d> = UnitHeader<Slice<'d>>;
type Unit<'d> = gimli::Unit<Slice<'d>>;
type UnitRef<'a, 'd> = gimli::UnitRef<'a, Slice<'d>>;
type Entry<'d> = gimli::DebuggingInformationEntry<Slice<'d>>;

#[cfg(test)]
mod tests;
