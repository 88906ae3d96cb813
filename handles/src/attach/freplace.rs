//! Programs that replace a function of another program.

use super::Trace;
use crate::{Error, Link, Program};

/// A function of another program, which an `freplace` program replaces for as long as its link is
/// there (5.10). The one that it was loaded for is [`Trace`]'s; this is any other with the same
/// prototype.
#[doc(alias = "bpf_program__attach_freplace")]
#[derive(Clone, Debug)]
pub struct Freplace {
    target: Program,
    function: String,
}

impl Freplace {
    /// The function of this name in `target`.
    #[must_use]
    pub fn new(target: &Program, function: impl Into<String>) -> Self {
        Self {
            target: target.clone(),
            function: function.into(),
        }
    }
}

impl super::Target for Freplace {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let id = self.target.function_id(&self.function)?;
        let place = self.target.to_string();
        let id = id.ok_or_else(|| Error::not_found("function", &self.function, place, []))?;
        Trace::new().function_of(&self.target, id).attach(program)
    }
}
