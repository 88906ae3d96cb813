//! What to encode.

use std::fmt;
use std::sync::Arc;

use crate::btf::Btf;

/// What to encode, and how. The default is what `pahole --btf_features=default` does, but for
/// [`optimized_functions`](Self::optimized_functions), which are left out unless asked for.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The BTF to continue: of the kernel, for the BTF of a module.
    pub base: Option<Arc<Btf>>,
    /// Number of threads; 0 for as many as there are processors.
    pub threads: usize,
    /// Which functions.
    pub functions: Functions,
    /// Which variables.
    pub variables: Variables,
    /// Which compilation units.
    pub languages: Languages,
    /// Whose habits to follow; what the file is decides if none are given.
    pub dialect: Option<Dialect>,
    /// Write floating point numbers as integers, for kernels before 5.13.
    pub no_floats: bool,
    /// Write enums of more than 32 bits as enums of 32, for kernels before 6.0.
    pub no_enum64: bool,
    /// Leave out `btf_decl_tag` attributes, for kernels before 5.16.
    pub no_decl_tags: bool,
    /// Leave out `btf_type_tag` attributes, for kernels before 5.17.
    pub no_type_tags: bool,
    /// Functions that the compiler changed (`name.isra.0`, `name.constprop.0`) by their plain name.
    pub optimized_functions: bool,
    progress: Option<Callback>,
}

type Callback = Arc<dyn Fn(Progress) + Send + Sync>;

/// How far the encoding is. It starts again if units turn out to refer to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Units that were read or skipped.
    pub done: usize,
    /// Units that there are.
    pub total: usize,
}

/// Which functions to encode. Only those that the symbol table of the file has, if it has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Functions {
    /// Those that one can attach to knowing what they take: of one prototype, at one address, with
    /// parameters in the order of the source (`consistent_func` of pahole).
    #[default]
    Consistent,
    /// One of each name, whatever others of that name are like.
    All,
    /// No functions.
    None,
}

/// Which variables to encode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variables {
    /// Per-CPU variables: those in `.data..percpu`.
    #[default]
    PerCpu,
    /// All variables that have a place in the file (`global_var` of pahole).
    All,
    /// No variables.
    None,
}

/// Which compilation units to encode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Languages {
    /// Those in languages whose types C can express: C, C++, Objective-C, OpenCL, assembler.
    #[default]
    C,
    /// All of them.
    All,
}

/// Whose habits to follow where BTF leaves a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// As pahole does for the kernel: arrays of arrays are one array, indexed by `int`, and all
    /// functions are static.
    Kernel,
    /// As clang does for BPF: arrays nest, they are indexed by `__ARRAY_SIZE_TYPE__`, and
    /// functions have their linkage. Taken for BPF objects.
    Bpf,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues this BTF: types that it has are not written again (`pahole --btf_base`).
    #[must_use]
    pub fn base(mut self, base: Arc<Btf>) -> Self {
        self.base = Some(base);
        self
    }

    /// Uses this many threads; 0 for as many as there are processors.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Encodes these functions.
    #[must_use]
    pub fn functions(mut self, functions: Functions) -> Self {
        self.functions = functions;
        self
    }

    /// Encodes these variables.
    #[must_use]
    pub fn variables(mut self, variables: Variables) -> Self {
        self.variables = variables;
        self
    }

    /// Encodes units in these languages (`pahole --lang`).
    #[must_use]
    pub fn languages(mut self, languages: Languages) -> Self {
        self.languages = languages;
        self
    }

    /// Encodes functions that the compiler changed as well (`optimized_func` of pahole).
    #[must_use]
    pub fn optimized_functions(mut self, yes: bool) -> Self {
        self.optimized_functions = yes;
        self
    }

    /// Follows these habits.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// Calls this after each unit, from any of the threads.
    #[must_use]
    pub fn progress(mut self, call: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(call));
        self
    }

    pub(super) fn report(&self, progress: Progress) {
        if let Some(call) = &self.progress {
            call(progress);
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            base,
            threads,
            functions,
            variables,
            languages,
            dialect,
            no_floats,
            no_enum64,
            no_decl_tags,
            no_type_tags,
            optimized_functions,
            progress,
        } = self;
        f.debug_struct("Options")
            .field("base", &base.as_ref().map(|base| base.len()))
            .field("threads", threads)
            .field("functions", functions)
            .field("variables", variables)
            .field("languages", languages)
            .field("dialect", dialect)
            .field("no_floats", no_floats)
            .field("no_enum64", no_enum64)
            .field("no_decl_tags", no_decl_tags)
            .field("no_type_tags", no_type_tags)
            .field("optimized_functions", optimized_functions)
            .field("progress", &progress.is_some())
            .finish()
    }
}
