//! CO-RE ("compile once, run everywhere"): what a relocation of an object means on a given kernel.
//!
//! ```text
//! kind.rs      the 13 things that a relocation can ask
//! spec.rs      an access string taken apart: struct members and array elements, step by step
//! find.rs      the same access in another BTF
//! compat.rs    whether types or fields are compatible
//! mismatch.rs  why a candidate is not what is meant
//! matches.rs   whether types match, the stricter test of `bpf_core_type_matches`
//! calc.rs      the number that a relocation asks for
//! targets.rs   where candidates come from: vmlinux, modules
//! resolve.rs   all of it together: candidates, values, ambiguity
//! ```
//!
//! Instructions are not touched here; an [`Outcome`] says how to patch one.

mod calc;
mod compat;
mod find;
mod kind;
mod matches;
mod mismatch;
mod resolve;
mod spec;
mod targets;

pub use calc::AccessSize;
pub use compat::types_compatible;
pub use kind::RelocationKind;
pub use matches::types_match;
pub use mismatch::Mismatch;
pub use resolve::{Outcome, Resolution, Resolver, Tried};
pub use spec::{Accessor, Spec};
pub use targets::{KnownTargets, TargetType, Targets};

pub(crate) use kind::Class;

#[cfg(test)]
mod tests;
