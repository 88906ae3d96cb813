//! What went wrong, shown as a compiler shows an error.
//!
//! ```text
//! build.rs  from an error to a report
//! text.rs   a report as text: source line, caret, notes
//! json.rs   a report as JSON
//! ```

mod build;
mod json;
mod text;

pub(crate) use text::Colours;

use purebpf::insn::verifier::Register;
use purebpf::plan::SourceLine;

/// One error or warning, ready to be shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) is_warning: bool,
    /// What it is about and what is wrong.
    pub(crate) title: String,
    pub(crate) object: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) section: Option<String>,
    pub(crate) phase: &'static str,
    pub(crate) errno: Option<i32>,
    pub(crate) line: Option<SourceLine>,
    pub(crate) insn: Option<usize>,
    /// The text of that instruction.
    pub(crate) text: Option<String>,
    /// The registers that it uses.
    pub(crate) registers: Vec<Register>,
    /// The verifier's reason.
    pub(crate) reason: Option<String>,
    /// The relocation that cannot be resolved.
    pub(crate) relocation: Option<String>,
    /// The types of the kernel that it was tried on, and why none will do.
    pub(crate) tried: Vec<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) help: Option<String>,
    /// The kernel's log.
    pub(crate) log: Option<String>,
    /// Whether the log is all that is known.
    pub(crate) is_log_needed: bool,
}
