//! Programs: loading and opening them, running them on test data.
//!
//! ```text
//! attributes.rs  what a program is loaded with, and the loading
//! functions.rs   its functions, by name
//! handle.rs      the handle: open, pin, attach, what is known of it
//! run.rs         test runs
//! ```

mod attributes;
mod functions;
mod handle;
mod run;

pub use attributes::{AttachTo, ExtensionInfo, ProgramAttributes, Reference};
pub use handle::Program;
pub use run::{TestRun, TestRunResult};
