//! User-space probes that programs define statically (USDT): where they are, and where their
//! arguments are.
//!
//! ```text
//! notes.rs      the notes of a binary: one for each place of a probe
//! argument.rs   the text that says where an argument is, such as `-4@-20(%rbp)`
//! registers.rs  where registers are in `pt_regs`, by machine
//! ```
//!
//! A compiler writes a note for each place: location, semaphore, names, and the places of the
//! arguments as the assembler of its machine has them.

mod argument;
mod notes;
mod registers;

pub use argument::{Argument, ArgumentError, Operand, arguments};
pub use notes::{Note, Notes};
pub use registers::Machine;
