//! Types that refer to no others: integers, floats, enums, forward declarations.

use crate::kind::Kind;

use super::state::{Candidates, State};

pub(super) fn run(state: &mut State) {
    let mut candidates = state.candidates();
    for id in 1..state.graph.len() {
        let is_own = id >= state.graph.first_own;
        let record = state.graph.get(id);
        let (kind, name) = (record.kind(), record.name());
        let is_named_enum = record.is_enum() && name != 0;
        let hash = match kind {
            // An enum must be found by its declaration, of which only the name is the same.
            Some(Kind::Enum | Kind::Enum64) if is_named_enum => state.name_hash(name),
            Some(Kind::Int | Kind::Float | Kind::Fwd | Kind::Enum | Kind::Enum64) => state.hash(id),
            // Two variables of one name and type are still two.
            Some(Kind::Var | Kind::Datasec) if is_own => {
                state.decide(id, id);
                continue;
            }
            _ => continue,
        };
        let stands = if !is_own {
            id
        } else if is_named_enum {
            named_enum(state, &candidates, hash, id)
        } else {
            candidates.same(state, hash, id).unwrap_or(id)
        };
        state.decide(id, stands);
        if stands == id {
            candidates.add(hash, id);
        }
    }
}

/// What stands for an enum; if it is the definition of one that was only declared, then for that
/// as well.
fn named_enum(state: &mut State, candidates: &Candidates, hash: u64, id: u32) -> u32 {
    for candidate in candidates.with_hash(hash) {
        let (this, other) = (state.graph.get(id), state.graph.get(candidate));
        let is_same = this.words == other.words;
        let is_compatible = this.is_compatible_enum(&other);
        let is_declaration = this.is_enum_fwd();
        if !state.spend(this.cost()) {
            break;
        }
        if is_same || is_compatible && is_declaration {
            return candidate;
        }
        if is_compatible {
            state.decide(candidate, id);
        }
    }
    id
}
