//! The first of several places that is there.

use std::fmt;

use super::Target;
use crate::{Error, Link, Program};

/// Places of which the first is taken that is there: a function may be inlined or renamed by the
/// compiler (`func.isra.0`), or be called otherwise in another kernel.
///
/// ```no_run
/// # fn f(program: &purebpf_handles::Program) -> Result<(), purebpf_handles::Error> {
/// use purebpf_handles::attach::{FirstOf, Kprobe};
///
/// let place = FirstOf::new(Kprobe::new("f")).or(Kprobe::new("f.isra.0"));
/// let link = program.attach(place)?;
/// # drop(link);
/// # Ok(())
/// # }
/// ```
pub struct FirstOf(Vec<Box<dyn Target + Send + Sync>>);

impl FirstOf {
    /// The place that is wanted most.
    #[must_use]
    pub fn new(place: impl Target + Send + Sync + 'static) -> Self {
        Self(vec![Box::new(place)])
    }

    /// Another one, for where those before are not there.
    #[must_use]
    pub fn or(mut self, place: impl Target + Send + Sync + 'static) -> Self {
        self.0.push(Box::new(place));
        self
    }
}

impl Target for FirstOf {
    /// The error of the first place if none is there, and that of any place that is there and cannot
    /// be taken.
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let mut first = None;
        for place in &self.0 {
            match place.attach(program) {
                Err(error @ (Error::Missing { .. } | Error::NotFound { .. })) => {
                    first.get_or_insert(error);
                }
                result => return result,
            }
        }
        // There is one place at least, since that is how it is made.
        Err(first.unwrap_or_else(|| Error::invalid(program, "there is no place to attach it to")))
    }
}

impl fmt::Debug for FirstOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstOf({} places)", self.0.len())
    }
}
