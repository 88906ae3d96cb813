//! What can go wrong with a handle.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use purebpf_elf::host::HostError;
use purebpf_syscall::{CallError, Errno};

use crate::nearest::Nearest;
use crate::netlink::NetlinkError;

/// An operation on a handle that did not work: on which object, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused.
    #[error("{object}: cannot {operation}")]
    Call {
        /// The object, as ``map `events` ``.
        object: Box<str>,
        /// What was to be done.
        operation: &'static str,
        /// The system call and its error number.
        source: CallError,
    },
    /// The kernel refused a request by netlink.
    #[error("{object}: cannot {operation}")]
    Netlink {
        /// The object.
        object: Box<str>,
        /// What was to be done.
        operation: &'static str,
        /// The message, its error number, and the kernel's own words.
        source: Box<NetlinkError>,
    },
    /// A name that nothing has, such as one of a network device.
    #[error("there is no {object}{nearest}")]
    Missing {
        /// Kind and name, as ``network device `eth0` ``.
        object: Box<str>,
        /// Names that are there and much like it; empty if none is.
        nearest: Nearest,
        /// The system call that looked for it.
        source: CallError,
    },
    /// The verifier, or another check of the kernel, refused a program or BTF.
    #[error("{object}: the kernel does not accept it")]
    Rejected {
        /// The object.
        object: Box<str>,
        /// The kernel's log, whole.
        log: Box<str>,
        /// The system call and its error number.
        source: CallError,
    },
    /// A key or value of another size than the map's.
    #[error("{object}: {part} is {found} bytes, expected {expected}")]
    Size {
        /// The map.
        object: Box<str>,
        /// Key or value.
        part: &'static str,
        /// Bytes given.
        found: usize,
        /// Bytes that the map has.
        expected: usize,
    },
    /// An object that is not what it has to be.
    #[error("{object}: {what} is {found}, expected {expected}")]
    Mismatch {
        /// The object.
        object: Box<str>,
        /// Which of its properties.
        what: &'static str,
        /// What it is.
        found: Box<str>,
        /// What it has to be.
        expected: Box<str>,
    },
    /// BTF of the kernel's that is malformed.
    #[error("{object}: its BTF is malformed")]
    Btf {
        /// Whose.
        object: Box<str>,
        /// The rule that it breaks.
        source: Box<purebpf_btf::Error>,
    },
    /// Options that make no sense together, or are not enough.
    #[error("{object}: {what}")]
    Invalid {
        /// The object.
        object: Box<str>,
        /// The rule that is broken.
        what: &'static str,
    },
    /// Something that the running kernel, or this library, does not have.
    #[error("{object}: no {feature} here")]
    Unsupported {
        /// The object.
        object: Box<str>,
        /// What is missing, and the first kernel that has it.
        feature: &'static str,
    },
    /// A section name that does not follow the rules of its prefix.
    #[error("section `{section}`: expected `{expected}`")]
    Section {
        /// The whole name.
        section: Box<str>,
        /// The rule.
        expected: &'static str,
    },
    /// A file or directory that cannot be used.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was to be done.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A binary that cannot be understood.
    #[error("{}: not a binary to look symbols up in", path.display())]
    Binary {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: HostError,
    },
    /// A binary without debug information that can be understood.
    #[cfg(feature = "dwarf")]
    #[error("{}: its source cannot be looked up", path.display())]
    DebugInfo {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: purebpf_elf::dwarf::DwarfError,
    },
    /// A static probe whose arguments cannot be understood.
    #[error("probe `{probe}` cannot be understood")]
    Probe {
        /// Provider and name.
        probe: Box<str>,
        /// Which argument, and why.
        source: Box<purebpf_elf::usdt::ArgumentError>,
    },
    /// Something looked up by name that is not there.
    #[error("{what} `{name}` not found in {}{nearest}", place.display())]
    NotFound {
        /// Kind of thing: symbol, tracepoint, binary, ...
        what: &'static str,
        /// Its name.
        name: Box<str>,
        /// Where it was looked up: a file, a directory, a list of directories.
        place: Box<Path>,
        /// Names that are there and much like it; empty if none is.
        nearest: Nearest,
    },
    /// A map that changes so fast that a walk through its keys does not come to the end.
    #[error("{object}: its keys change faster than they can be walked, {given} were given")]
    Unsteady {
        /// The map.
        object: Box<str>,
        /// Keys given until then, most of them more than once.
        given: u64,
    },
    /// A ring buffer whose pages do not hold what the kernel writes there.
    #[error("{object}: bad ring buffer position {position:#x}: {what}")]
    Corrupt {
        /// The map.
        object: Box<str>,
        /// Position of the consumer, bytes since the start.
        position: u64,
        /// The rule that is broken.
        what: &'static str,
    },
}

impl Error {
    /// The error number behind it, if a system call is.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { source, .. }
            | Self::Missing { source, .. }
            | Self::Rejected { source, .. } => Some(source.errno()),
            Self::Netlink { source, .. } => Some(source.errno()),
            Self::File { source, .. } => source.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }

    pub(crate) fn is_errno(&self, errno: Errno) -> bool {
        self.errno() == Some(errno)
    }

    /// For the result of a system call.
    pub(crate) fn call(
        object: impl Display,
        operation: &'static str,
    ) -> impl FnOnce(CallError) -> Self {
        move |source| Self::Call {
            object: boxed(object),
            operation,
            source,
        }
    }

    /// For the result of a request by netlink.
    pub(crate) fn netlink(
        object: impl Display,
        operation: &'static str,
    ) -> impl FnOnce(NetlinkError) -> Self {
        move |source| Self::Netlink {
            object: boxed(object),
            operation,
            source: Box::new(source),
        }
    }

    /// For the result of a file operation.
    pub(crate) fn file(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// For the result of opening what is attached to by its path: if it is not there, with names
    /// beside it, of directories or of anything else.
    pub(crate) fn open(
        kind: &'static str,
        path: &Path,
        directories: bool,
    ) -> impl FnOnce(std::io::Error) -> Self {
        move |error| {
            let object = boxed(format_args!("{kind} {}", path.display()));
            let source = CallError::io("open", &error);
            match source.errno() {
                Errno::ENOENT => Self::Missing {
                    object,
                    nearest: Nearest::beside(path, directories),
                    source,
                },
                _ => Self::Call {
                    object,
                    operation: "open it",
                    source,
                },
            }
        }
    }

    /// For a name that is not among those that are `known` in some place.
    pub(crate) fn not_found(
        what: &'static str,
        name: &str,
        place: impl Into<PathBuf>,
        known: impl IntoIterator<Item = String>,
    ) -> Self {
        Self::NotFound {
            what,
            name: name.into(),
            place: place.into().into_boxed_path(),
            nearest: Nearest::of(name, known),
        }
    }

    /// For the result of reading BTF.
    pub(crate) fn btf(object: impl Display) -> impl FnOnce(purebpf_btf::Error) -> Self {
        move |source| Self::Btf {
            object: boxed(object),
            source: Box::new(source),
        }
    }

    pub(crate) fn invalid(object: impl Display, what: &'static str) -> Self {
        Self::Invalid {
            object: boxed(object),
            what,
        }
    }

    pub(crate) fn unsupported(object: impl Display, feature: &'static str) -> Self {
        Self::Unsupported {
            object: boxed(object),
            feature,
        }
    }

    pub(crate) fn mismatch(
        object: impl Display,
        what: &'static str,
        found: impl Display,
        expected: impl Display,
    ) -> Self {
        Self::Mismatch {
            object: boxed(object),
            what,
            found: boxed(found),
            expected: boxed(expected),
        }
    }

    pub(crate) fn unsteady(object: impl Display, given: u64) -> Self {
        Self::Unsteady {
            object: boxed(object),
            given,
        }
    }

    pub(crate) fn size(
        object: impl Display,
        part: &'static str,
        found: usize,
        expected: usize,
    ) -> Result<(), Self> {
        if found == expected {
            Ok(())
        } else {
            Err(Self::Size {
                object: boxed(object),
                part,
                found,
                expected,
            })
        }
    }

    pub(crate) fn section(section: &str, expected: &'static str) -> Self {
        Self::Section {
            section: section.into(),
            expected,
        }
    }
}

/// What a closure writes, for when it is asked for; as `std::fmt::from_fn` of later compilers.
#[derive(Clone, Copy)]
pub(crate) struct Shown<F>(F);

pub(crate) fn shown<F>(write: F) -> Shown<F>
where
    F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
{
    Shown(write)
}

impl<F> Display for Shown<F>
where
    F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

pub(crate) fn boxed(text: impl Display) -> Box<str> {
    text.to_string().into()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn display_leaves_the_source_to_the_source() {
        let source = purebpf_syscall::obj_get(Path::new("a\0"), 0).unwrap_err();
        let error = Error::call("map `x`", "open it")(source);
        assert_eq!(error.to_string(), "map `x`: cannot open it");
        assert_eq!(
            error.source().unwrap().to_string(),
            "BPF_OBJ_GET: EINVAL: Invalid argument"
        );
        assert_eq!(error.errno(), Some(Errno::EINVAL));
    }

    #[test]
    fn an_error_is_small() {
        assert!(size_of::<Error>() <= 72, "{}", size_of::<Error>());
    }
}
