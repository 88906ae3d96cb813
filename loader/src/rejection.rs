//! `Rejection`: a program that the kernel refused, and all that is known about why.

use std::fmt;

use purebpf_insn::verifier::VerifierLog;
use purebpf_plan::{Missing, SourceLine};

/// A program that the kernel refused.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Rejection {
    /// The object.
    pub object: String,
    /// The program.
    pub program: String,
    /// Its section.
    pub section: String,
    /// The instruction at which the verifier stopped, if its log tells.
    pub insn: Option<usize>,
    /// The text of that instruction as the plan has it: `(79) r0 = *(u64 *)(r0 +0)`.
    pub text: Option<String>,
    /// The source line of that instruction, if the object knows it.
    pub line: Option<SourceLine>,
    /// What is missing at that instruction, if the loader put it out of action.
    pub missing: Option<Missing>,
    /// The verifier's log taken apart.
    pub verifier: VerifierLog,
    /// The verifier's log, whole; empty if it never came so far.
    pub log: String,
    /// What can be done, where that is certain.
    pub hint: Option<String>,
}

/// Why, in one line.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.missing, &self.verifier.reason) {
            (Some(missing), _) => write!(f, "the kernel refused it: {missing}"),
            (None, Some(reason)) => write!(f, "the verifier refused it: {reason}"),
            (None, None) => f.write_str("the kernel refused it without a word"),
        }
    }
}
