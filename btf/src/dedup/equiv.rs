//! Whether two graphs of types are the same.
//!
//! Both are walked side by side from one type each, under the assumption that the two are the
//! same; what is met on the way is noted, so a cycle ends where it began. One graph is called the
//! candidate's: it comes from one compilation unit, so it has each type once. The other is that of
//! the type that stays; it may be put together from several, through forward declarations that
//! were resolved.

use crate::kind::Kind;
use crate::shape::Entry;

use super::graph::Record;
use super::state::State;

/// How deep types are compared that one unit has more than once; libbpf's own limit.
const MAX_TWIN_DEPTH: u32 = 16;

/// A walk through two graphs, and what it assumed; kept to be used again.
pub(super) struct Walk {
    /// For each type of the staying graph its partner among the candidate's; 0 if it was not met.
    partners: Vec<u32>,
    met: Vec<u32>,
    todo: Vec<(u32, u32)>,
    /// A declaration in the base turned out to be that of an own struct. No own type may then go
    /// in favour of one of the base's, which refers to the declaration and always will.
    pub(super) declared_in_base: bool,
}

impl Walk {
    pub(super) fn new(state: &State) -> Self {
        Self {
            partners: vec![0; state.graph.len() as usize],
            met: Vec::new(),
            todo: Vec::new(),
            declared_in_base: false,
        }
    }

    /// Whether the candidate and the staying type are the same as far as the walk can see.
    pub(super) fn run(&mut self, state: &State, candidate: u32, stays: u32) -> bool {
        for id in self.met.drain(..) {
            if let Some(partner) = self.partners.get_mut(id as usize) {
                *partner = 0;
            }
        }
        self.declared_in_base = false;
        self.todo.clear();
        self.todo.push((candidate, stays));
        while let Some((candidate, stays)) = self.todo.pop() {
            if !self.step(state, candidate, stays) {
                return false;
            }
        }
        true
    }

    fn step(&mut self, state: &State, candidate: u32, stays: u32) -> bool {
        let end = state.resolve(stays);
        if state.resolve(candidate) == end {
            return true;
        }
        // A declaration that is resolved counts as what it declares, but only on this side.
        let is_resolved = end != stays
            && state.graph.kind(stays) == Some(Kind::Fwd)
            && state.graph.kind(end) != Some(Kind::Fwd);
        let stays = if is_resolved { end } else { stays };
        let Some(partner) = self.partners.get_mut(stays as usize) else {
            return false;
        };
        if *partner != 0 {
            let partner = *partner;
            // Compilers make some types twice in one unit.
            return partner == candidate || are_twins(state, partner, candidate, MAX_TWIN_DEPTH);
        }
        *partner = candidate;
        self.met.push(stays);

        let (this, other) = (state.graph.get(candidate), state.graph.get(stays));
        let is_same = if this.name() != other.name() {
            false
        } else if this.info() == other.info() && !this.is_enum_fwd() {
            let is_alike = this.looks_like(&other);
            if is_alike {
                self.push_types(&this, &other);
            }
            is_alike
        } else if this.is_fwd_of(&other) {
            true
        } else if other.is_fwd_of(&this) {
            self.declared_in_base |= stays < state.graph.first_own;
            true
        } else {
            this.is_compatible_enum(&other)
        };
        state.spend(this.cost()) && is_same
    }

    /// Puts what two types refer to on the list, so that the first comes next.
    fn push_types(&mut self, candidate: &Record<'_>, stays: &Record<'_>) {
        let (a, b) = (candidate.entries(), stays.entries());
        let shape = candidate.info().shape();
        match shape.entry() {
            Entry::Array => {
                self.push_each(a, b, |[_, index, _]| *index);
                self.push_each(a, b, |[element, _, _]| *element);
            }
            Entry::Member => self.push_each(a, b, |[_, ty, _]| *ty),
            Entry::SecInfo => self.push_each(a, b, |[ty, _, _]| *ty),
            Entry::Param => self.push_each(a, b, |[_, ty]| *ty),
            Entry::None | Entry::Word | Entry::Enumerator | Entry::Enumerator64 => {}
        }
        if shape.third_is_type() {
            self.todo.push((candidate.third(), stays.third()));
        }
    }

    fn push_each<const N: usize>(&mut self, a: &[u32], b: &[u32], ty: fn(&[u32; N]) -> u32) {
        let entries = a.as_chunks().0.iter().zip(b.as_chunks().0);
        let pairs = entries.rev().map(|(a, b)| (ty(a), ty(b)));
        self.todo.extend(pairs);
    }

    /// Takes what a successful walk assumed for known, where that is safe.
    pub(super) fn keep(&self, state: &mut State) {
        for stays in &self.met {
            let Some(candidate) = self.partners.get(*stays as usize) else {
                continue;
            };
            let (candidate, stays) = (state.resolve(*candidate), state.resolve(*stays));
            let kinds = [candidate, stays].map(|id| state.graph.kind(id));
            match kinds {
                [Some(Kind::Fwd), Some(Kind::Fwd)] => {}
                [_, Some(Kind::Fwd)] => state.decide(stays, candidate),
                _ if self.declared_in_base => {}
                [Some(Kind::Fwd), _] => state.decide(candidate, stays),
                // What stands for a struct that is not decided yet may itself go.
                [Some(Kind::Struct | Kind::Union), _]
                    if state.is_decided(stays) && !state.is_decided(candidate) =>
                {
                    state.decide(candidate, stays);
                }
                _ => {}
            }
        }
    }
}

/// Whether two types of one unit say the same down to some depth.
fn are_twins(state: &State, a: u32, b: u32, depth: u32) -> bool {
    if a == b {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let (this, other) = (state.graph.get(a), state.graph.get(b));
    let is_alike = if this.is_enum() {
        this.is_compatible_enum(&other)
    } else {
        this.looks_like(&other)
    };
    let types = |record| (0..).map_while(move |index| Record::type_at(record, index));
    let mut pairs = types(&this).zip(types(&other));
    state.spend(this.cost()) && is_alike && pairs.all(|(a, b)| are_twins(state, a, b, depth))
}
