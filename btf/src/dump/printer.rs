//! What a printer of types keeps: the text, what was printed before, how much more may be.

use std::fmt::Write as _;

use crate::btf::Btf;
use crate::entries::Params;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::Type;
use crate::view::View;

use super::layout::Layouts;
use super::names::{Name, Names};

/// Types inside types, and references in a row, that are followed; kernels need some thirty.
const MAX_NESTING: u32 = 192;
/// Text that even a small BTF may give: one struct with a large hole takes many lines.
const MIN_TEXT: usize = 16 << 20;
/// Bytes of text for each byte of BTF beyond that; kernels have less than one.
const TEXT_PER_BYTE: usize = 16;
/// Steps that even a small BTF may take, and for each of its bytes.
const MIN_STEPS: u32 = 1 << 20;
const STEPS_PER_BYTE: u32 = 8;

/// Prints types as C definitions, each once.
#[derive(Debug)]
pub(super) struct Printer<'a> {
    pub(super) btf: View<'a>,
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

/// What follows the name, and whether a parenthesis must be closed before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail<'a> {
    pub(super) parenthesis: bool,
    pub(super) kind: TailKind<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum TailKind<'a> {
    Array(u32),
    Params(TypeId, Params<'a>),
}

impl<'a> Printer<'a> {
    /// Begins with no type printed.
    pub(super) fn new(btf: &'a Btf) -> Self {
        let count = btf.len() as usize;
        let bytes = std::iter::successors(Some(btf), |btf| btf.base().map(|base| &**base))
            .map(|btf| btf.raw_bytes().len())
            .fold(0, usize::saturating_add);
        let steps = u32::try_from(bytes)
            .unwrap_or(u32::MAX)
            .saturating_mul(STEPS_PER_BYTE)
            .saturating_add(MIN_STEPS);
        let mut printer = Self {
            btf: View::of(btf),
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
        printer.set(TypeId::VOID, State::ORDERED);
        printer.set(TypeId::VOID, State::EMITTED);
        printer
    }

    pub(super) fn set_text_limit(&mut self, bytes: usize) {
        self.limits.text = bytes;
    }

    /// Runs `print` with `out` in the place of the own text, and within the limits of one call.
    pub(super) fn writing(
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

    /// The name of a type as it is printed everywhere.
    pub(super) fn name(&mut self, ty: &Type<'a>) -> Result<Name<'a>> {
        let text = self.btf.name_at(ty.name_off)?;
        Ok(self.names.of_type(ty, text))
    }

    pub(super) fn push_name(&mut self, ty: &Type<'a>) -> Result<()> {
        let name = self.name(ty)?;
        self.push(name);
        Ok(())
    }

    pub(super) fn push_enumerator(&mut self, name_off: u32) -> Result<()> {
        let text = self.btf.name_at(name_off)?;
        let name = self.names.of_enumerator(text);
        self.push(name);
        Ok(())
    }

    fn push(&mut self, name: Name<'_>) {
        self.out.push_str(name.text);
        if name.number > 1 {
            self.out.push_str("___");
            self.number(name.number);
        }
    }
}
