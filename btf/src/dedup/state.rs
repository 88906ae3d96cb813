//! Which type stands for which, and candidates by hash.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hasher as _};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::btf::Btf;
use crate::error::Result;

use super::graph::Graph;

/// A type that no phase has looked at.
const UNDECIDED: u32 = u32::MAX;

/// What all phases share.
pub(super) struct State {
    pub(super) graph: Graph,
    /// For each type the one that stands for it, perhaps through others; itself if it stays.
    map: Vec<u32>,
    /// Comparisons that may still be made. Behind that types stay what they are: real BTF never
    /// gets there, and made-up BTF would take for ever.
    budget: Cell<u64>,
    hasher: DefaultHashBuilder,
}

/// Types that stay, found by hash: the last one first, as libbpf has it.
pub(super) struct Candidates {
    latest: HashTable<(u64, u32)>,
    /// For each type the one before with the same hash; 0 if there is none.
    before: Vec<u32>,
}

impl State {
    pub(super) fn new(btf: &Btf) -> Result<Self> {
        let graph = Graph::new(btf)?;
        let undecided = std::iter::repeat_n(UNDECIDED, (graph.len() - graph.first_own) as usize);
        let map: Vec<u32> = (0..graph.first_own).chain(undecided).collect();
        Ok(Self {
            budget: Cell::new((1 << 24) + 2_048 * map.len() as u64),
            map,
            graph,
            hasher: DefaultHashBuilder::default(),
        })
    }

    /// The ids of the types that may go.
    pub(super) fn own(&self) -> std::ops::Range<u32> {
        self.graph.first_own..self.graph.len()
    }

    /// Whether it is known what stands for a type.
    pub(super) fn is_decided(&self, id: u32) -> bool {
        self.map.get(id as usize).is_some_and(|to| *to != UNDECIDED)
    }

    /// Says what stands for a type.
    pub(super) fn decide(&mut self, id: u32, stands: u32) {
        if let Some(to) = self.map.get_mut(id as usize) {
            *to = stands;
        }
    }

    /// The type that stands for another as far as it is known.
    #[inline]
    pub(super) fn resolve(&self, id: u32) -> u32 {
        resolve(&self.map, id)
    }

    /// Puts what stands for them in the place of the types that a type refers to, from one of them
    /// up to the first that is not decided; the number of that, and which it is.
    pub(super) fn settle(&mut self, id: u32, from: usize) -> Option<(usize, u32)> {
        let Self { graph, map, .. } = self;
        let shape = graph.get(id).info().shape();
        let words = graph.words_mut(id);
        for index in from.. {
            let ty = words.get_mut(shape.type_word(index)?)?;
            if map.get(*ty as usize) == Some(&UNDECIDED) {
                return Some((index, *ty));
            }
            *ty = resolve(map, *ty);
        }
        None
    }

    /// Whether a type stays, as far as it is known.
    pub(super) fn stays(&self, id: u32) -> bool {
        self.map.get(id as usize) == Some(&id)
    }

    /// Counts some comparisons; whether they may be made.
    pub(super) fn spend(&self, steps: usize) -> bool {
        let left = self.budget.get().checked_sub(steps as u64);
        self.budget.set(left.unwrap_or(0));
        left.is_some()
    }

    /// The hash of all that makes a type: its words and what it refers to.
    pub(super) fn hash(&self, id: u32) -> u64 {
        self.hasher.hash_one(self.graph.get(id).words)
    }

    /// The hash of a struct, union or typedef, as far as it shows without a walk.
    pub(super) fn look_hash(&self, id: u32) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        self.graph.hash_look(id, &mut hasher);
        hasher.finish()
    }

    /// The hash of a name.
    pub(super) fn name_hash(&self, name: u32) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Candidates of whom there are none yet.
    pub(super) fn candidates(&self) -> Candidates {
        Candidates {
            latest: HashTable::new(),
            before: vec![0; self.graph.len() as usize],
        }
    }
}

#[inline]
fn resolve(map: &[u32], id: u32) -> u32 {
    let mut at = id;
    // No chain is longer than there are types, and no loop is ever made.
    for _ in 0..map.len() {
        match map.get(at as usize) {
            Some(to) if *to != UNDECIDED && *to != at => at = *to,
            _ => break,
        }
    }
    at
}

impl Candidates {
    pub(super) fn add(&mut self, hash: u64, id: u32) {
        let entry = self
            .latest
            .entry(hash, |entry| entry.0 == hash, |entry| entry.0);
        match entry {
            Entry::Occupied(mut found) => {
                if let Some(before) = self.before.get_mut(id as usize) {
                    *before = found.get().1;
                }
                found.get_mut().1 = id;
            }
            Entry::Vacant(new) => {
                new.insert((hash, id));
            }
        }
    }

    pub(super) fn with_hash(&self, hash: u64) -> impl Iterator<Item = u32> {
        let latest = self.latest.find(hash, |entry| entry.0 == hash);
        std::iter::successors(latest.map(|entry| entry.1), |id| {
            self.before.get(*id as usize).copied().filter(|id| *id != 0)
        })
    }

    /// The latest type whose record is word by word that of `id`.
    pub(super) fn same(&self, state: &State, hash: u64, id: u32) -> Option<u32> {
        let mut candidates = self.with_hash(hash);
        candidates.find(|candidate| {
            let (this, other) = (state.graph.get(id), state.graph.get(*candidate));
            let is_same = this.words == other.words;
            state.spend(this.cost()) && is_same
        })
    }
}
