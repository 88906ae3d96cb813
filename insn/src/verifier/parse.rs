//! From a log's text to what is kept of it, and what follows from that.

use super::log::{Register, Step, VerifierLog};
use super::state::{number, used_by};
use super::walk::walk;

impl VerifierLog {
    /// Takes a log apart. What is not there is missing in the result.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        walk(text)
    }

    /// The instruction that it stopped at, if that was walked over.
    #[must_use]
    pub fn stopped_at(&self) -> Option<&Step> {
        let is_it = |step: &&Step| Some(step.insn) == self.insn;
        self.steps.iter().rfind(is_it)
    }

    /// The registers that the instruction uses that it stopped at, with what was known of them.
    pub fn used(&self) -> impl Iterator<Item = &Register> {
        let step = self.stopped_at();
        let used = step.map_or(0, |step| used_by(&step.text));
        self.registers.iter().filter(move |register| {
            number(&register.name).is_some_and(|number| used >> number & 1 == 1)
        })
    }
}
