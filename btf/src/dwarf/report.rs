//! What became of a file.

use std::fmt;

use crate::btf::Btf;
use crate::raw::Endian;

/// The BTF of a file, and what was left out of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Encoded {
    /// The types, each of them once.
    pub btf: Btf,
    /// The byte order of the file; [`Btf::to_bytes`] makes a section for it.
    pub endian: Endian,
    /// What was read and what was skipped.
    pub report: Report,
}

/// What was read and what was skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Number of compilation and type units in the file.
    pub units: usize,
    /// The units that were left out, in the order of the file.
    pub skipped: Vec<SkippedUnit>,
    /// What became of functions.
    pub functions: FunctionReport,
    /// Number of variables encoded.
    pub variables: usize,
    /// Structs whose members BTF cannot express; they have their size and no members.
    pub opaque: usize,
    /// References to entries that are no types or are not there; they became void.
    pub dangling: usize,
}

/// A unit that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedUnit {
    /// The name of its source file, if it could be read.
    pub name: String,
    /// Where it starts in `.debug_info` (or behind its end, in `.debug_types`).
    pub offset: u64,
    /// Why.
    pub reason: SkipReason,
}

/// Why a unit was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is in a language that was not asked for, by its name in the DWARF standard.
    Language(String),
    /// Its content is in another file (`.dwo`, `-gsplit-dwarf`).
    Split,
    /// It cannot be read.
    Broken(String),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Language(name) => write!(f, "language {name}"),
            Self::Split => f.write_str("split DWARF, its content is in another file"),
            Self::Broken(problem) => write!(f, "broken: {problem}"),
        }
    }
}

/// What became of functions, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionReport {
    /// Encoded.
    pub encoded: usize,
    /// Left out: several prototypes under one name.
    pub inconsistent: usize,
    /// Left out: several addresses under one name.
    pub ambiguous: usize,
    /// Left out: the compiler changed the order of the parameters.
    pub reordered: usize,
    /// Left out: a parameter is in another register than its place says.
    pub displaced: usize,
    /// Left out: the compiler changed the function, and parameters are missing.
    pub optimized: usize,
}

impl Report {
    /// Adds what another part of the file became.
    pub(super) fn add(&mut self, other: Self) {
        let Self {
            units: _,
            skipped,
            functions: _,
            variables: _,
            opaque,
            dangling,
        } = other;
        self.skipped.extend(skipped);
        self.opaque = self.opaque.saturating_add(opaque);
        self.dangling = self.dangling.saturating_add(dangling);
    }
}
