//! Pointers, arrays, qualifiers, functions, tags: from the bottom up.
//!
//! Once it is known what stands for all that a type refers to, the type is its words.

use crate::error::{Error, Result};
use crate::id::TypeId;

use super::state::{Candidates, State};

pub(super) fn run(state: &mut State) -> Result<()> {
    let mut candidates = state.candidates();
    for id in 1..state.graph.first_own {
        // Those of other kinds are never asked for, which does no harm.
        candidates.add(state.hash(id), id);
    }
    // The types on the way to what is not decided, each with the next of its own to look at.
    let mut path: Vec<(u32, usize)> = Vec::new();
    let mut is_on_path = vec![false; state.graph.len() as usize];
    for id in state.own() {
        if state.is_decided(id) {
            continue;
        }
        path.push((id, 0));
        while let Some((at, index)) = path.last_mut() {
            let at = *at;
            let Some((next, ty)) = state.settle(at, *index) else {
                decide(state, &mut candidates, at);
                set(&mut is_on_path, at, false);
                path.pop();
                continue;
            };
            *index = next;
            set(&mut is_on_path, at, true);
            if is_on_path.get(ty as usize) == Some(&true) {
                return Err(Error::Depth {
                    id: TypeId(ty),
                    limit: state.graph.len(),
                });
            }
            path.push((ty, 0));
        }
    }
    Ok(())
}

fn set(flags: &mut [bool], id: u32, value: bool) {
    if let Some(flag) = flags.get_mut(id as usize) {
        *flag = value;
    }
}

fn decide(state: &mut State, candidates: &mut Candidates, id: u32) {
    let hash = state.hash(id);
    let stands = candidates.same(state, hash, id).unwrap_or(id);
    state.decide(id, stands);
    if stands == id {
        candidates.add(hash, id);
    }
}
