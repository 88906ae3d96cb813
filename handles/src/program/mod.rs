//! Programs: loading and opening them, running them on test data.
//!
//! ```text
//! attributes.rs  what a program is loaded with, and the loading
//! code.rs        its instructions, machine code and lines of source
//! functions.rs   its functions, by name
//! handle.rs      the handle: open, pin, attach, what is known of it
//! run.rs         test runs
//! statistics.rs  how often and how long programs run
//! streams.rs     what a program prints
//! ```

mod attributes;
mod code;
mod functions;
mod handle;
mod run;
mod statistics;
mod streams;

pub use attributes::{AttachTo, ExtensionInfo, ProgramAttributes, Reference};
pub use code::{JitedFunction, SourceLine};
pub use handle::Program;
pub use run::{TestRun, TestRunResult};
pub use statistics::RunStatistics;
pub use streams::ProgramStream;
