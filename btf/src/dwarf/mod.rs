//! DWARF to BTF: the types, functions and variables of a program compiled with `-g`.
//!
//! In come the bytes of an ELF file with DWARF 2 to 5: a program, a `vmlinux`, a kernel module, a
//! BPF object. Out goes one deduplicated [`Btf`](crate::Btf), as `pahole -J` makes it, and a
//! [`Report`] of what was left out and why. Nobody else in this crate calls it.
//!
//! ```text
//! options.rs    what to encode; report.rs what became of it
//! image.rs      the ELF file: debug sections, functions, places of variables
//! sections.rs   the debug sections, and what they are read as; relocate.rs their relocations
//! layout.rs     where the sections are, linked or not
//! units.rs      where the units are, and which are read together
//! unit.rs       one unit: its strings, references and addresses; attrs.rs its attributes
//! read.rs       the entries of a unit as a graph; uses.rs what each is for; graph.rs the graph; names.rs its strings
//! emit.rs       the graph as BTF records; subjects.rs functions and variables in it
//! encode.rs     all units, in parallel, to one BTF
//! abi.rs        where parameters are and should be; location.rs reads where they are
//! select.rs     which functions and variables stay; same.rs when two prototypes agree
//! finish.rs     the BTF with them, without the prototypes of those that went
//! ```
//!
//! The result is what pahole makes, but for a few things that pahole cannot do, or does wrong:
//!
//! - references and pointers to members are pointers, a base class is a member without a name,
//!   `_Atomic` is nothing of its own; pahole refuses or drops these;
//! - type units and the variables of files with link-time optimization are read;
//! - functions that are only declared by their symbol (undefined ones) are left out, and so are
//!   variables that the compiler keeps in another form, or that overlap;
//! - a function of a module stays if the base has one of the same name and prototype, since it is
//!   another function; pahole takes them for one;
//! - what BTF cannot express loses its members, or becomes void, and is counted; pahole fails;
//! - for BPF objects it is what clang makes, see [`Dialect`].
//!
//! Units are read in chunks that do not depend on the number of threads, each chunk is
//! deduplicated as soon as it is read, and the chunks are put together in order. So the result
//! depends on the file and the options alone, and memory on the chunks that are being read.

mod abi;
mod attrs;
mod emit;
mod encode;
mod finish;
mod graph;
mod image;
mod layout;
mod location;
mod names;
mod options;
mod read;
mod relocate;
mod report;
mod same;
mod sections;
mod select;
mod subjects;
mod unit;
mod units;
mod uses;

pub use encode::encode;
pub use options::{Dialect, Functions, Languages, Options, Progress, Variables};
pub use report::{Encoded, FunctionReport, Report, SkipReason, SkippedUnit};

#[cfg(test)]
mod built_tests;
#[cfg(test)]
mod tests;
