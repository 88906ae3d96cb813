//! Printing: types as C that compiles, values of types as text or JSON.
//!
//! ```text
//! c.rs        CDump: the types of a BTF as C definitions, each once; its options and limits
//! order.rs    what must be defined before what
//! emit.rs     definitions and the forward declarations between them
//! body.rs     what stands in the braces of a struct, union or enum
//! declare.rs  a type with a name: pointers, arrays, functions in C's inside-out order
//! layout.rs   alignment, packed structs, padding
//! names.rs    names that occur more than once
//! header.rs   a whole header, as `bpftool btf dump format c` prints
//! sort.rs     the order of types in a header, whatever their order in the BTF
//! ```
//!
//! A BTF comes in, text comes out; anybody may call it, with any BTF: nesting, steps and length of
//! the text are bounded.

mod body;
mod c;
mod declare;
mod emit;
mod header;
mod layout;
mod names;
mod order;
mod sort;

pub use c::{CDump, DeclOptions};
pub use header::Header;

#[cfg(test)]
mod tests;
