//! What can go wrong between a file and a plan.

use std::sync::Arc;

use purebpf_insn::Endian;

use crate::{Place, SourceLine};

/// An error of something that the target kernel was asked for.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

/// Why an object cannot be read, or not be planned for a kernel.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The file is no BPF object.
    #[error("the object file is malformed")]
    Elf(#[from] purebpf_elf::Error),
    /// The object was compiled for machines of the other byte order.
    #[error("the object is {object}, the kernel {kernel}")]
    ByteOrder {
        /// That of the object.
        object: Endian,
        /// That of the kernel.
        kernel: Endian,
    },
    /// The object's own BTF, or that of the kernel, is malformed or lacks something.
    #[error("{what}")]
    Btf {
        /// Whose BTF, and what it was read for.
        what: String,
        /// The rule that it breaks.
        source: Arc<purebpf_btf::Error>,
    },
    /// The object's CO-RE relocations cannot be understood.
    #[error("section `.BTF.ext`: a CO-RE relocation is {what}")]
    CoreInfo {
        /// Where it is, as it must not be.
        what: &'static str,
    },
    /// The object defines something that only BTF can describe, and has none.
    #[error("the object has {what}, but no BTF (compile with -g)")]
    NoBtf {
        /// What needs it.
        what: String,
    },
    /// The file defines maps as it was done before BTF.
    #[error(
        "a section `maps` defines maps as before BTF; `OpenOptions::legacy_maps` allows it, SEC(\".maps\") replaces it"
    )]
    LegacyMaps,
    /// No row of the section table matches.
    #[error("unknown program section `{section}`; the nearest known is `{nearest}`")]
    UnknownSection {
        /// The section.
        section: String,
        /// The nearest that is known.
        nearest: &'static str,
    },
    /// A name that the object does not have.
    #[error("the object has no {kind} `{name}`; it has {known}")]
    NotFound {
        /// `map`, `program` or `global`.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A section that BTF describes as it is not.
    #[error("section `{section}`: {what}")]
    Section {
        /// Its name.
        section: String,
        /// What is wrong.
        what: String,
    },
    /// A map definition that cannot be used.
    #[error("map `{map}`: {what}")]
    Map {
        /// Its name.
        map: String,
        /// What is wrong.
        what: String,
    },
    /// A global variable that cannot be set so.
    #[error("global `{name}`: {what}")]
    Global {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A program that cannot be loaded so.
    #[error("program `{program}`: {what}")]
    Program {
        /// Its name.
        program: String,
        /// What is wrong.
        what: String,
    },
    /// A relocation that cannot be applied.
    #[error("program `{program}`, section `{section}`, instruction {insn}: {what}")]
    Relocation {
        /// The function that holds it.
        program: String,
        /// Its section.
        section: String,
        /// Instruction, counted from the start of the function.
        insn: usize,
        /// Which symbol, and what is wrong.
        what: String,
        /// The source line, if the object knows it.
        line: Option<Box<SourceLine>>,
    },
    /// A CO-RE relocation that cannot be applied.
    #[error("program `{program}`, instruction {insn}: CO-RE relocation {spec}: {what}")]
    Core {
        /// The function that holds it.
        program: String,
        /// Instruction, counted from the start of the function.
        insn: usize,
        /// The relocation in libbpf's text form.
        spec: String,
        /// What is wrong.
        what: String,
        /// The source line, if the object knows it.
        line: Option<Box<SourceLine>>,
        /// The error below, where there is one.
        #[source]
        source: Option<Arc<purebpf_btf::Error>>,
    },
    /// An extern that the kernel does not have, or has otherwise.
    #[error("extern `{name}`: {what}")]
    Extern {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
        /// The first instruction that uses it.
        used: Option<Box<Place>>,
    },
    /// The target kernel could not say something that is needed.
    #[error("cannot learn {what} of the target kernel")]
    Kernel {
        /// What was asked.
        what: String,
        /// Why it cannot.
        #[source]
        source: Option<Source>,
    },
    /// Something that libbpf does and this version does not.
    #[error("not supported yet: {what}")]
    Unsupported {
        /// What is missing.
        what: String,
    },
}

impl Error {
    pub(crate) fn btf(what: impl Into<String>) -> impl FnOnce(purebpf_btf::Error) -> Self {
        let what = what.into();
        |source| Self::Btf {
            what,
            source: Arc::new(source),
        }
    }

    /// Says where an extern is used.
    pub(crate) fn with_use(self, place: impl FnOnce(&str) -> Option<Place>) -> Self {
        match self {
            Self::Extern {
                name,
                what,
                used: None,
            } => Self::Extern {
                used: place(&name).map(Box::new),
                name,
                what,
            },
            other => other,
        }
    }

    /// The program or function that it is about, if it is about one.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Program { program, .. }
            | Self::Relocation { program, .. }
            | Self::Core { program, .. } => Some(program),
            Self::Extern { used, .. } => used.as_ref().map(|place| place.program.as_str()),
            _ => None,
        }
    }

    /// The instruction of that function.
    #[must_use]
    pub fn insn(&self) -> Option<usize> {
        match self {
            Self::Relocation { insn, .. } | Self::Core { insn, .. } => Some(*insn),
            Self::Extern { used, .. } => used.as_ref().map(|place| place.insn),
            _ => None,
        }
    }

    /// The source line of that instruction, if the object knows it.
    #[must_use]
    pub fn source_line(&self) -> Option<&SourceLine> {
        match self {
            Self::Relocation { line, .. } | Self::Core { line, .. } => line.as_deref(),
            Self::Extern { used, .. } => used.as_ref()?.line.as_ref(),
            _ => None,
        }
    }
}
