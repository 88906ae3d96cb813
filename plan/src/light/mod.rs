//! Light loading: the load of an object written as a BPF program and its data, so that who loads it
//! needs no ELF file, no BTF and no relocations: only the system call.
//!
//! ```text
//! loader.rs    LightLoader: the program, its data, and the names of what it makes
//! context.rs   what the program is given and what it leaves there
//! generate.rs  ObjectSpec -> LightLoader
//! builder.rs   instructions and data: addresses, jumps, system calls, what is closed on errors
//! attr.rs      the attributes of those system calls
//! maps.rs      maps: created, filled, frozen
//! programs.rs  programs: attach targets, relocations, loads
//! symbols.rs   kernel functions and variables, found and written into instructions
//! ```
//!
//! The program runs inside the kernel (type `BPF_PROG_TYPE_SYSCALL`, Linux 5.14). There it finds
//! symbols, attach targets and modules by name, and leaves CO-RE relocations to the kernel (5.17). It is
//! libbpf's, in layout and meaning: what libbpf calls a light skeleton has the same context.

mod attr;
mod builder;
mod context;
mod generate;
mod loader;
mod maps;
mod programs;
mod symbols;

pub use context::ContextLayout;
pub use loader::{LightLoader, LightMap, LightProgram};
