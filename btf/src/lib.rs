//! BTF, the types of the kernel and of BPF objects: reading, searching, editing, CO-RE.
//!
//! ```text
//! btf.rs       a whole BTF: types by id, strings by offset; parse.rs reads and checks it
//! types.rs     a type as one reads it; id.rs its number; entries.rs its members, parameters, values
//! query.rs     sizes, alignment, what is behind typedefs; index.rs types by name, table.rs
//! ext/         .BTF.ext: functions, lines and CO-RE relocations by instruction
//! builder/     making and changing BTF
//! dedup/       equal types made one
//! check.rs     whether BTF makes sense
//! lenient.rs   what is sound of damaged BTF
//! permute.rs   the same types in another order
//! distill.rs   what a split BTF needs of its base; relocate.rs from one base to another
//! core/        CO-RE: what a relocation means on a given kernel
//! minimal.rs   the smallest BTF that relocates given objects
//! value.rs     bytes of a type as a tree of values, and that as JSON
//! dump/        types as C, bytes of a type as text in the manner of C
//! diff/        what differs between two BTFs
//! dwarf/       BTF out of DWARF (feature `dwarf`)
//! source/      where a file has its BTF (features `elf`, `compressed`)
//! strings.rs   a string section in the making
//! raw.rs       header and byte order; kind.rs, shape.rs the kinds and their records
//! data.rs      where the bytes live; name.rs flavours and hashes of names; error.rs
//! ```
//!
//! Data in, data out: nothing here opens a file or asks the kernel.
//!
//! Features: `elf` and `compressed` for `source`, `serde` for [`value::Value`] as anything that
//! serde writes.

#![forbid(unsafe_code)]

mod btf;
mod builder;
mod check;
pub mod core;
mod data;
mod dedup;
pub mod diff;
mod distill;
pub mod dump;
#[cfg(feature = "dwarf")]
pub mod dwarf;
mod entries;
mod error;
pub mod ext;
mod id;
mod index;
mod kind;
mod lenient;
mod minimal;
mod name;
mod parse;
mod permute;
mod query;
pub mod raw;
mod relocate;
mod shape;
#[cfg(feature = "elf")]
pub mod source;
mod strings;
mod table;
#[cfg(test)]
mod testing;
mod types;
pub mod value;
mod view;

pub use btf::Btf;
pub use builder::{BtfBuilder, NewEnumerator, NewMember, NewParam, RawRecord};
pub use data::{BtfData, Data};
pub use dedup::Dedup;
pub use distill::Distilled;
pub use entries::{
    Enumerator, EnumeratorIter, Enumerators, Member, Members, Param, Params, Record, RecordIter,
    Records, SecInfo, SecInfos,
};
pub use error::{BoxedError, Error, Result};
pub use id::TypeId;
pub use kind::{Kind, Kinds};
pub use lenient::Lenient;
pub use minimal::MinimalBtf;
pub use name::essential_name;
pub use raw::Endian;
pub use types::{Composite, IntEncoding, Linkage, Type, TypeKind};
