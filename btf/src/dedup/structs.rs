//! Structs, unions and typedefs: the types that cycles go through.

use hashbrown::HashMap;

use crate::kind::Kind;

use super::equiv::Walk;
use super::state::{Candidates, State};

/// Decides all structs, unions and typedefs, and such forward declarations as they explain.
pub(super) fn run(state: &mut State) {
    let mut candidates = state.candidates();
    let mut walk = Walk::new(state);
    for id in 1..state.graph.len() {
        let record = state.graph.get(id);
        if !matches!(
            record.kind(),
            Some(Kind::Struct | Kind::Union | Kind::Typedef)
        ) {
            continue;
        }
        let is_own = id >= state.graph.first_own;
        // Walks that began elsewhere may have come by.
        if is_own && state.is_decided(id) {
            continue;
        }
        let hash = state.look_hash(id);
        let stands = if is_own {
            find(state, &candidates, &mut walk, hash, id)
        } else {
            id
        };
        state.decide(id, stands);
        if stands == id {
            candidates.add(hash, id);
        }
    }
}

fn find(state: &mut State, candidates: &Candidates, walk: &mut Walk, hash: u64, id: u32) -> u32 {
    for other in candidates.with_hash(hash) {
        if !state.spend(1) {
            break;
        }
        // Without this a declaration could come to stand for its struct, and the struct for it.
        let is_same_kind = state.graph.kind(id) == state.graph.kind(other);
        if is_same_kind && walk.run(state, id, other) {
            walk.keep(state);
            if !walk.declared_in_base {
                return other;
            }
        }
    }
    id
}

/// Makes forward declarations the struct or union of that name, if there is just one.
pub(super) fn resolve_forward(state: &mut State) {
    let mut by_name: HashMap<u32, Option<u32>> = HashMap::new();
    for id in 1..state.graph.len() {
        let record = state.graph.get(id);
        let is_composite = matches!(record.kind(), Some(Kind::Struct | Kind::Union));
        if is_composite && state.stays(id) {
            by_name
                .entry(record.name())
                .and_modify(|only| *only = None)
                .or_insert(Some(id));
        }
    }
    for id in state.own() {
        let record = state.graph.get(id);
        if record.kind() != Some(Kind::Fwd) || !state.stays(id) {
            continue;
        }
        if let Some(Some(only)) = by_name.get(&record.name())
            && record.is_fwd_of(&state.graph.get(*only))
        {
            state.decide(id, *only);
        }
    }
}
