//! What a kernel lacks of what an object needs, and where the object needs it.

use std::fmt;
use std::sync::Arc;

use purebpf_btf::Btf;

/// A line of source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, as the compiler knew it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// Its text without the space around it, if the compiler kept it.
    pub text: String,
    /// How many columns of space are before the text; a tab is one.
    pub indent: u32,
}

impl SourceLine {
    /// A line as BTF describes it: two strings by their place, and line and column in one word.
    pub(crate) fn new(btf: &Btf, file: u32, text: u32, line: u32, column: u32) -> Self {
        let string = |at| String::from_utf8_lossy(btf.str_at(at).unwrap_or_default());
        let whole = string(text);
        let indent = whole.len().saturating_sub(whole.trim_start().len());
        Self {
            file: string(file).into_owned(),
            line,
            column,
            text: whole.trim().to_owned(),
            indent: u32::try_from(indent).unwrap_or(u32::MAX),
        }
    }
}

/// An instruction of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The function that holds it.
    pub program: String,
    /// Its section.
    pub section: String,
    /// Instruction, counted from the start of the function.
    pub insn: usize,
    /// The source line, if the object knows it.
    pub line: Option<SourceLine>,
}

/// A type of the kernel that a CO-RE relocation was tried on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TriedType {
    /// The module that has it; nothing for the kernel itself.
    pub module: Option<Arc<str>>,
    /// Id, kind and name: `[7] struct task_struct`.
    pub ty: String,
    /// What of it does not fit.
    pub why: String,
}

/// What an instruction needs and cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// A type, member or value that a CO-RE relocation is about.
    Core {
        /// The relocation in libbpf's text form.
        spec: String,
        /// The first few types that it was tried on; none if the kernel has no type of that name.
        tried: Vec<TriedType>,
    },
    /// A map that is not created.
    Map {
        /// Its name.
        name: String,
    },
    /// A function of the kernel.
    Function {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core { spec, .. } => write!(f, "failed to resolve CO-RE relocation {spec}"),
            Self::Map { name } => write!(f, "map `{name}` is not created"),
            Self::Function { name } => write!(f, "kernel function `{name}` does not exist"),
        }
    }
}

/// Something that was replaced by an instruction that the verifier refuses, should it meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// Instruction of the program.
    pub insn: usize,
    /// What is missing there.
    pub missing: Missing,
}
