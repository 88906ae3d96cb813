//! The types that stay, numbered anew.

use crate::btf::Btf;
use crate::builder::BtfBuilder;
use crate::error::{Error, Result};
use crate::ext::BtfExt;
use crate::id::TypeId;
use crate::shape::Field;

use super::Dedup;
use super::graph::Graph;
use super::state::State;

/// A state in which all is decided, with the new ids.
pub(super) struct Compact {
    state: State,
    /// What each type is now, by old id; those of the base stay what they are.
    ids: Vec<u32>,
}

impl Compact {
    pub(super) fn new(state: State) -> Self {
        let mut new: Vec<u32> = (0..state.graph.len()).collect();
        let own = state.own().filter(|id| state.stays(*id));
        for (id, next) in own.zip(state.graph.first_own..) {
            if let Some(new) = new.get_mut(id as usize) {
                *new = next;
            }
        }
        let of = |id| new.get(state.resolve(id) as usize).copied();
        let ids = (0..state.graph.len()).map(|id| of(id).unwrap_or_default());
        Self {
            ids: ids.collect(),
            state,
        }
    }

    /// The `.BTF.ext` that belongs to the BTF; its strings come into the result as well.
    pub(super) fn rewrite(&mut self, btf: &Btf, ext: &BtfExt) -> Result<BtfExt> {
        let Graph { strings, names, .. } = &mut self.state.graph;
        ext.rewrite(
            |id| {
                let new = self.ids.get(id.0 as usize).copied().map(TypeId);
                let len = btf.len();
                new.ok_or(Error::NoType { id, len })
            },
            |offset| names.get(btf, offset, strings),
        )
    }

    pub(super) fn finish(self, btf: &Btf) -> Result<Dedup> {
        let Self { state, ids } = self;
        let new = |id: u32| ids.get(id as usize).copied().unwrap_or_default();
        let (mut words, mut starts) = (Vec::new(), Vec::new());
        for id in state.own().filter(|id| state.stays(*id)) {
            starts.push(words.len() as u32);
            let record = state.graph.get(id);
            words.extend_from_slice(record.words);
            let start = words.len() - record.words.len();
            let copy = words.get_mut(start..).unwrap_or_default();
            record
                .info()
                .shape()
                .rewrite(copy, |field, word| match field {
                    Field::Type => Ok::<_, Error>(new(word)),
                    _ => Ok(word),
                })?;
        }
        let ids = state.own().map(|id| TypeId(new(id))).collect();
        let strings = state.graph.strings;
        let builder = BtfBuilder::like(btf).with_content(words, starts, strings);
        let mut btf = builder.finish()?;
        btf.has_unique_strings = btf.base().is_none();
        Ok(Dedup { btf, ids })
    }
}
