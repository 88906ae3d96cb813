//! The types of a BTF as C: what was printed before, and how much more may be.

use std::fmt::Write as _;

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::Type;

use super::declare::Tail;
use super::layout::Layouts;
use super::names::Names;

/// Types inside types, and references in a row, that are followed; kernels need some thirty.
const MAX_NESTING: u32 = 192;
/// Text that even a small BTF may give: one struct with a large hole takes many lines.
const MIN_TEXT: usize = 16 << 20;
/// Bytes of text for each byte of BTF beyond that; kernels have less than one.
const TEXT_PER_BYTE: usize = 16;
/// Steps that even a small BTF may take, and for each of its bytes.
const MIN_STEPS: u32 = 1 << 20;
const STEPS_PER_BYTE: u32 = 8;

/// Prints types as C definitions, each once and behind what it needs.
///
/// The text of the types is libbpf's. It compiles, and the compiled types have the layout that
/// the BTF tells. Names that occur more than once get `___2` and so on; what the kernel's BTF
/// does not say (alignment beyond the natural, for instance) the text cannot say either.
///
/// After an error the text is what it was before the call; types that were begun in it may be
/// missing from later text.
///
/// Where libbpf's text would not compile, it differs: a qualifier before a type tag is parted from
/// the name of the type, and numbered names are never cut.
#[derive(Debug)]
#[doc(alias = "btf_dump")]
pub struct CDump<'a> {
    pub(super) btf: &'a Btf,
    pub(super) out: String,
    pub(super) states: Vec<State>,
    /// What is to be defined, in order.
    pub(super) queue: Vec<TypeId>,
    pub(super) names: Names<'a>,
    pub(super) layouts: Layouts<'a>,
    /// Types between a declaration and what it is made of; each declaration uses its own end.
    pub(super) chain: Vec<Type<'a>>,
    /// What still follows the name of a declaration; used in the same way.
    pub(super) tails: Vec<Tail<'a>>,
    pub(super) style: Style,
    pub(super) expand_unnamed: bool,
    pub(super) knows_references: bool,
    limits: Limits,
}

/// What to leave out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// `const`, `volatile`, `restrict` and type tags.
    pub(super) strip_mods: bool,
    /// What stands in the braces of types without a name.
    pub(super) skip_bodies: bool,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of text that one call may give.
    text: usize,
    /// Where this call's text must end.
    end: usize,
    steps: u32,
    steps_left: u32,
}

/// How far a type has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State(u8);

impl State {
    /// It is being put in order.
    pub(super) const ORDERING: Self = Self(1);
    /// It is in the queue, or needs not be.
    pub(super) const ORDERED: Self = Self(2);
    /// It is being defined.
    pub(super) const EMITTING: Self = Self(4);
    /// It is defined.
    pub(super) const EMITTED: Self = Self(8);
    /// It is declared.
    pub(super) const DECLARED: Self = Self(16);
    /// Another type refers to it.
    pub(super) const REFERENCED: Self = Self(32);

    pub(super) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

/// How a declaration is printed.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
#[doc(alias = "btf_dump_emit_type_decl_opts")]
pub struct DeclOptions<'a> {
    /// What is declared; nothing for the type alone, as in a cast.
    pub name: &'a str,
    /// Tabs before the lines behind the first.
    pub indent: u32,
    /// Whether to leave out `const`, `volatile`, `restrict` and type tags.
    pub strip_mods: bool,
}

impl<'a> DeclOptions<'a> {
    /// A declaration of this name.
    #[must_use]
    pub fn named(name: &'a str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Puts this many tabs before each line but the first.
    #[must_use]
    pub fn indent(mut self, tabs: u32) -> Self {
        self.indent = tabs;
        self
    }

    /// Leaves out `const`, `volatile`, `restrict` and type tags.
    #[must_use]
    pub fn strip_mods(mut self, strip: bool) -> Self {
        self.strip_mods = strip;
        self
    }
}

impl<'a> CDump<'a> {
    /// Begins with no type printed.
    #[must_use]
    #[doc(alias = "btf_dump__new")]
    pub fn new(btf: &'a Btf) -> Self {
        let count = btf.len() as usize;
        let bytes = std::iter::successors(Some(btf), |btf| btf.base().map(|base| &**base))
            .map(|btf| btf.raw_bytes().len())
            .fold(0, usize::saturating_add);
        let steps = u32::try_from(bytes)
            .unwrap_or(u32::MAX)
            .saturating_mul(STEPS_PER_BYTE)
            .saturating_add(MIN_STEPS);
        let mut dump = Self {
            btf,
            out: String::new(),
            states: vec![State::default(); count],
            queue: Vec::new(),
            names: Names::new(count),
            layouts: Layouts::new(btf),
            chain: Vec::new(),
            tails: Vec::new(),
            style: Style::default(),
            expand_unnamed: false,
            knows_references: false,
            limits: Limits {
                text: bytes.saturating_mul(TEXT_PER_BYTE).saturating_add(MIN_TEXT),
                end: 0,
                steps,
                steps_left: 0,
            },
        };
        // Void needs no definition.
        dump.set(TypeId::VOID, State::ORDERED);
        dump.set(TypeId::VOID, State::EMITTED);
        dump
    }

    /// Sets how many bytes of text one call may give; otherwise 16 MiB, and 16 for each byte of BTF.
    #[must_use]
    pub fn max_text(mut self, bytes: usize) -> Self {
        self.limits.text = bytes;
        self
    }

    /// Sets whether a member without a name gets the braces of its type even if that has a name;
    /// otherwise it is printed as `struct x;`, as libbpf does.
    ///
    /// Kernels after 6.18 have such members. Compilers take `struct x;` for one only with
    /// `-fms-extensions`, and leave it out of the struct without.
    #[must_use]
    pub fn expand_unnamed(mut self, expand: bool) -> Self {
        self.expand_unnamed = expand;
        self
    }

    /// Appends the definition of a type to `out`, behind the definitions and forward declarations
    /// that it needs, all but those that were printed before.
    ///
    /// Functions, variables, sections and tags have no definition; they give no text.
    ///
    /// # Errors
    /// [`Error::NoType`]; [`Error::Cycle`] for a type that contains itself; [`Error::Depth`],
    /// [`Error::TooComplex`] or [`Error::TextTooLong`] for BTF that no compiler made;
    /// [`Error::WrongKind`] for a reference to what is no type in C; [`Error::NotUtf8`].
    #[doc(alias = "btf_dump__dump_type")]
    pub fn dump_type(&mut self, id: TypeId, out: &mut String) -> Result<()> {
        self.dump_types([id], out)
    }

    /// Appends the definitions of these types in this order, as [`dump_type`](Self::dump_type) does
    /// for one.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    pub fn dump_types(
        &mut self,
        ids: impl IntoIterator<Item = TypeId>,
        out: &mut String,
    ) -> Result<()> {
        self.writing(out, |dump| {
            ids.into_iter().try_for_each(|id| {
                dump.queue.clear();
                dump.order(id, false, 0)?;
                for index in 0..dump.queue.len() {
                    if let Some(id) = dump.queue.get(index) {
                        dump.emit(*id, TypeId::VOID, 0)?;
                    }
                }
                Ok(())
            })
        })
    }

    /// Appends the definitions of all types that the base does not have, and what they need of it.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    pub fn dump_own(&mut self, out: &mut String) -> Result<()> {
        self.dump_types(self.btf.own_ids(), out)
    }

    /// Appends the definitions of all types, those of the base included.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    pub fn dump_all(&mut self, out: &mut String) -> Result<()> {
        self.dump_types(self.btf.ids(), out)
    }

    /// Appends a declaration, as of a member or parameter, without `;`. Types without a name are
    /// defined in it; others are only named.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    #[doc(alias = "btf_dump__emit_type_decl")]
    pub fn type_decl(
        &mut self,
        id: TypeId,
        options: &DeclOptions<'_>,
        out: &mut String,
    ) -> Result<()> {
        let style = Style {
            strip_mods: options.strip_mods,
            skip_bodies: false,
        };
        self.declaration(id, options.name, options.indent, style, out)
    }

    /// Appends the name of a type as it stands in a cast, without what is in its braces.
    pub(super) fn cast(&mut self, id: TypeId, out: &mut String) -> Result<()> {
        let style = Style {
            strip_mods: true,
            skip_bodies: true,
        };
        self.declaration(id, "", 0, style, out)
    }

    fn declaration(
        &mut self,
        id: TypeId,
        name: &str,
        indent: u32,
        style: Style,
        out: &mut String,
    ) -> Result<()> {
        self.style = style;
        let result = self.writing(out, |dump| dump.declare(id, name, indent, 0));
        self.style = Style::default();
        result
    }

    /// Runs `print` with `out` in the place of the own text, and within the limits of one call.
    fn writing(
        &mut self,
        out: &mut String,
        print: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let start = out.len();
        self.limits.end = start.saturating_add(self.limits.text);
        self.limits.steps_left = self.limits.steps;
        std::mem::swap(&mut self.out, out);
        let result = print(self);
        std::mem::swap(&mut self.out, out);
        if result.is_err() {
            out.truncate(start);
            self.chain.clear();
            self.tails.clear();
        }
        result
    }

    pub(super) fn state(&self, id: TypeId) -> State {
        self.states.get(id.0 as usize).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, id: TypeId, flag: State) {
        if let Some(state) = self.states.get_mut(id.0 as usize) {
            state.0 |= flag.0;
        }
    }

    pub(super) fn unset(&mut self, id: TypeId, flag: State) {
        if let Some(state) = self.states.get_mut(id.0 as usize) {
            state.0 &= !flag.0;
        }
    }

    /// Takes a step into something that `id` is made of; the result is how deep that is.
    pub(super) fn descend(&mut self, id: TypeId, depth: u32) -> Result<u32> {
        self.spend(id, 1)?;
        if depth >= MAX_NESTING {
            return Err(Error::Depth {
                id,
                limit: MAX_NESTING,
            });
        }
        Ok(depth + 1)
    }

    /// Takes steps, and looks how long the text has become.
    pub(super) fn spend(&mut self, id: TypeId, steps: usize) -> Result<()> {
        let limits = &mut self.limits;
        let left = u32::try_from(steps)
            .ok()
            .and_then(|steps| limits.steps_left.checked_sub(steps));
        limits.steps_left = left.ok_or_else(|| Error::TooComplex {
            id,
            limit: limits.steps,
        })?;
        if self.out.len() > limits.end {
            return Err(Error::TextTooLong {
                id,
                limit: limits.text,
            });
        }
        Ok(())
    }

    /// Bytes of text that one call may give.
    pub(super) fn text_limit(&self) -> usize {
        self.limits.text
    }

    pub(super) fn number(&mut self, value: impl std::fmt::Display) {
        let _never_fails = write!(self.out, "{value}");
    }
}
