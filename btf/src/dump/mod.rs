//! Printing: types as C that compiles, values of types as text or JSON.
//!
//! ```text
//! c.rs        CDump: the types of a BTF as C definitions, each once; its options
//! printer.rs  what it keeps: the text, what was printed before, how much more may be
//! order.rs    what must be defined before what
//! emit.rs     definitions and the forward declarations between them
//! body.rs     what stands in the braces of a struct, union or enum
//! declare.rs  a type with a name: pointers, arrays, functions in C's inside-out order
//! layout.rs   alignment, packed structs; padding.rs what puts members elsewhere
//! names.rs    names that occur more than once
//! header.rs   a whole header, as `bpftool btf dump format c` prints
//! sort.rs     the order of types in a header, whatever their order in the BTF
//! value.rs    bytes of a type as text in the manner of a C initialiser; its options
//! array.rs    arrays, characters and strings in that text
//! scalar.rs   numbers, pointers, enumerators in that text
//! zero.rs     whether a value is worth printing
//! ```
//!
//! A BTF comes in, text comes out; anybody may call it, with any BTF: nesting, steps and length of
//! the text are bounded.

mod array;
mod body;
mod c;
mod declare;
mod emit;
mod header;
mod layout;
mod names;
mod order;
mod padding;
mod printer;
mod scalar;
mod sort;
mod value;
mod zero;

pub use c::{CDump, DeclOptions};
pub use header::Header;
pub use value::ValueText;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;
