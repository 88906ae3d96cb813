//! Places of a binary by its source (feature `dwarf`).

use purebpf_elf::dwarf::{DebugInfo, DwarfError};
use purebpf_elf::host::Executable;

use super::binary::Binary;
use crate::Error;

/// A place that the debug information of a binary, or its debug file, tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourcePlace {
    /// Where the code of a line begins, in each function and inlined copy that has it.
    Line {
        /// The end of the path of the source file: `main.c`, or `net/main.c` if there are more.
        file: String,
        /// The line, from 1.
        line: u64,
    },
    /// Where a function begins, also a static one, also in a binary without symbols.
    Function(String),
    /// Where the copies of a function begin that were inlined into others.
    Inlined(String),
}

impl SourcePlace {
    /// A line of a source file.
    #[must_use]
    pub fn line(file: impl Into<String>, line: u64) -> Self {
        let file = file.into();
        Self::Line { file, line }
    }

    /// The start of a function.
    #[must_use]
    pub fn function(name: impl Into<String>) -> Self {
        Self::Function(name.into())
    }

    /// The places that a function was inlined at.
    #[must_use]
    pub fn inlined(name: impl Into<String>) -> Self {
        Self::Inlined(name.into())
    }
}

impl Binary {
    /// Where in the file a place of the source is, bytes; one at least.
    pub(super) fn source(&self, place: &SourcePlace) -> Result<Vec<u64>, Error> {
        let executable = self.read()?;
        let addresses = self.addresses(&executable, place)?;
        let mut offsets = Vec::new();
        for address in addresses {
            let offset = executable.offset_of(address);
            let offset = offset.map_err(|source| self.broken(source))?;
            offsets.extend(offset.map(|offset| self.start().saturating_add(offset)));
        }
        match (offsets.is_empty(), place) {
            (false, _) => Ok(offsets),
            (true, SourcePlace::Line { file, line }) => Err(self.no_code(file, *line, None)),
            (true, SourcePlace::Function(name)) => Err(self.missing("function", name, [])),
            (true, SourcePlace::Inlined(name)) => {
                Err(self.missing("inlined copy of function", name, []))
            }
        }
    }

    fn addresses(&self, executable: &Executable, place: &SourcePlace) -> Result<Vec<u64>, Error> {
        let debug = self.debug_info(executable)?;
        match place {
            SourcePlace::Function(name) => debug.functions(name),
            SourcePlace::Inlined(name) => debug.inlined(name),
            SourcePlace::Line { file, line } => match debug.line(file, *line) {
                Ok(found) if !found.is_known_file => {
                    return Err(self.missing("source file", file, []));
                }
                Ok(found) if found.addresses.is_empty() => {
                    return Err(self.no_code(file, *line, found.next));
                }
                result => result.map(|found| found.addresses),
            },
        }
        .map_err(|source| self.unclear(source))
    }

    fn no_code(&self, file: &str, line: u64, next: Option<u64>) -> Error {
        let known = next.map(|next| format!("{file}:{next}"));
        self.missing("code of line", &format!("{file}:{line}"), known)
    }

    /// That of the binary itself, or else of its debug file.
    fn debug_info(&self, executable: &Executable) -> Result<DebugInfo, Error> {
        match DebugInfo::parse(executable.bytes().clone()) {
            Err(DwarfError::None) => {
                let found = self.debug_file(executable)?;
                let bytes = found.ok_or_else(|| self.unclear(DwarfError::None))?;
                DebugInfo::parse(bytes)
            }
            result => result,
        }
        .map_err(|source| self.unclear(source))
    }

    fn unclear(&self, source: DwarfError) -> Error {
        Error::DebugInfo {
            path: self.path.clone(),
            source,
        }
    }
}
