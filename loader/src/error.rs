//! Why a load failed: one value that says what, where, and what the kernel thought.

use purebpf_plan::{Missing, SourceLine};

use crate::Rejection;
use crate::load::hints;

/// The stage at which a load failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Reading the file.
    Open,
    /// Working out what to load.
    Plan,
    /// Handing over the object's BTF.
    Btf,
    /// Creating, filling or pinning a map.
    Map,
    /// Loading a program.
    Program,
    /// Attaching a program.
    Attach,
}

impl Phase {
    /// A short lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Plan => "plan",
            Self::Btf => "btf",
            Self::Map => "map",
            Self::Program => "program",
            Self::Attach => "attach",
        }
    }
}

/// Why an object could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object cannot be read, or not be planned for this kernel.
    #[error(transparent)]
    Plan(#[from] purebpf_plan::Error),
    /// The kernel refused the object's BTF.
    #[error("the kernel refused the BTF of object `{object}`")]
    Btf {
        /// The object.
        object: String,
        /// The kernel's log.
        log: String,
        /// What it said.
        source: purebpf_handles::Error,
    },
    /// A map could not be created, filled or pinned.
    #[error("map `{map}`: {what}")]
    Map {
        /// Its name.
        map: String,
        /// What was to be done.
        what: &'static str,
        /// What can be done, where that is certain.
        hint: Option<String>,
        /// What went wrong.
        source: purebpf_handles::Error,
    },
    /// A pinned map, or one given to the loader, is not what the object declares.
    #[error("map `{map}`: {field} is {found} in the map there is, {expected} in the object")]
    Incompatible {
        /// Its name.
        map: String,
        /// The attribute that differs.
        field: &'static str,
        /// Its value in the map there is.
        found: String,
        /// Its value in the object.
        expected: String,
    },
    /// The kernel refused a program.
    #[error("program `{}` (section `{}`): {}", .rejection.program, .rejection.section, .rejection)]
    Program {
        /// Which, where and why.
        rejection: Box<Rejection>,
        /// What the kernel said.
        source: purebpf_handles::CallError,
    },
    /// A loader program could not load its object.
    #[error("the loader program of object `{object}` failed")]
    Light {
        /// The object.
        object: String,
        /// The kernel's log of the last map, program or BTF that was to be loaded.
        log: String,
        /// What the kernel said there.
        source: purebpf_handles::CallError,
    },
    /// A program could not be attached.
    #[error("program `{program}` cannot be attached")]
    Attach {
        /// Its name.
        program: String,
        /// What went wrong.
        source: purebpf_handles::Error,
    },
    /// The section of a program does not say what to attach it to.
    #[error(
        "program `{program}`: section `{section}` does not say what to attach it to; it takes {takes}"
    )]
    NoTarget {
        /// Its name.
        program: String,
        /// Its section.
        section: String,
        /// What is missing, and what attaches the program to it.
        takes: &'static str,
    },
    /// A name that the loaded object does not have.
    #[error("the object has no {kind} `{name}`; it has {known}")]
    NotFound {
        /// `map` or `program`.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// An operation on a handle failed.
    #[error(transparent)]
    Handle(#[from] purebpf_handles::Error),
}

/// The number of the system call that failed, even if it has no name.
fn number(error: &purebpf_handles::Error) -> Option<i32> {
    use purebpf_handles::Error as Handle;
    match error {
        Handle::Call { source, .. } | Handle::Rejected { source, .. } => {
            Some(source.raw_os_error())
        }
        Handle::File { source, .. } => source.raw_os_error(),
        _ => None,
    }
}

impl Error {
    /// The stage at which it failed.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Plan(error) => match error {
                purebpf_plan::Error::Read { .. } | purebpf_plan::Error::Elf(_) => Phase::Open,
                _ => Phase::Plan,
            },
            Self::Btf { .. } => Phase::Btf,
            Self::Map { .. } | Self::Incompatible { .. } => Phase::Map,
            Self::Program { .. } | Self::Light { .. } => Phase::Program,
            Self::Attach { .. } | Self::NoTarget { .. } => Phase::Attach,
            Self::NotFound { .. } | Self::Handle(_) => Phase::Program,
        }
    }

    /// The error number of the system call behind it, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Btf { source, .. }
            | Self::Map { source, .. }
            | Self::Attach { source, .. }
            | Self::Handle(source) => number(source),
            Self::Program { source, .. } | Self::Light { source, .. } => {
                Some(source.raw_os_error())
            }
            Self::Plan(_)
            | Self::Incompatible { .. }
            | Self::NoTarget { .. }
            | Self::NotFound { .. } => None,
        }
    }

    /// The program that it is about, if it is about one.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Program { rejection, .. } => Some(&rejection.program),
            Self::Attach { program, .. } | Self::NoTarget { program, .. } => Some(program),
            Self::Plan(error) => error.program(),
            _ => None,
        }
    }

    /// The instruction that it is about, if it is about one: of the program if the kernel refused
    /// it, of the function that [`Self::program`] names if it could not be planned.
    #[must_use]
    pub fn insn(&self) -> Option<usize> {
        match self {
            Self::Program { rejection, .. } => rejection.insn,
            Self::Plan(error) => error.insn(),
            _ => None,
        }
    }

    /// What the kernel lacks, if that is why.
    #[must_use]
    pub fn missing(&self) -> Option<&Missing> {
        match self {
            Self::Program { rejection, .. } => rejection.missing.as_ref(),
            _ => None,
        }
    }

    /// The kernel's log, if it wrote one.
    #[must_use]
    pub fn verifier_log(&self) -> Option<&str> {
        let log: &str = match self {
            Self::Program { rejection, .. } => &rejection.log,
            Self::Btf { log, .. } | Self::Light { log, .. } => log,
            Self::Map {
                source: purebpf_handles::Error::Rejected { log, .. },
                ..
            } => log,
            _ => return None,
        };
        (!log.is_empty()).then_some(log)
    }

    /// The source line of the instruction that it is about, if it is known.
    #[must_use]
    pub fn source_line(&self) -> Option<&SourceLine> {
        match self {
            Self::Program { rejection, .. } => rejection.line.as_ref(),
            Self::Plan(error) => error.source_line(),
            _ => None,
        }
    }

    /// What can be done about it, where that is certain; about a program that could not be attached,
    /// by the rights of the thread that asks.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Program { rejection, .. } => rejection.hint.as_deref(),
            Self::Map { hint, .. } => hint.as_deref(),
            Self::Attach { source, .. } => hints::of_attach(source),
            _ => None,
        }
    }
}
