//! The verifier's log taken apart: why a program was refused, where, and what was known there.
//!
//! ```text
//! log.rs    VerifierLog: what is kept of a log; parse.rs: from text to that
//! line.rs   what a line of it is
//! state.rs  the registers and stack slots that a line lists
//! walk.rs   the log from its first line to its last
//! ```
//!
//! Logs of kernels 5.10 to 7.2 are understood, as are those of BTF. A line that is not known is
//! taken for something that the kernel has to say; nothing fails.

mod line;
mod log;
mod parse;
mod state;
mod walk;

pub use log::{Register, SourceText, Statistics, Step, VerifierLog};

#[cfg(test)]
mod tests;
