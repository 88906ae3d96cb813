//! Making equal types one.
//!
//! BTF that was put together from many compilation units (or objects) has most of its types many
//! times over. What comes in is such BTF; what goes out is BTF in which each is there once, and
//! the new id of every old one. Of a split BTF only its own types go, in favour of the base's too.
//!
//! ```text
//! graph.rs     all records side by side, equal names having equal offsets
//! state.rs     which type stands for which; candidates by hash
//! simple.rs    integers, enums, forward declarations: equal if their records are
//! equiv.rs     whether two graphs of types are the same, forward declarations being patient
//! structs.rs   structs, unions, typedefs: where cycles can go through
//! refs.rs      all others, bottom up: equal if what they refer to is the same type
//! compact.rs   what is left, renumbered
//! ```
//!
//! A forward declaration becomes the struct that it declares where the graphs around it say which
//! one that is, or if there is only one of that name. The order is that of libbpf's
//! `btf__dedup`, so the result is the same but where `docs/parity.md` says otherwise.

mod compact;
mod equiv;
mod graph;
mod refs;
mod simple;
mod state;
mod structs;

use crate::btf::Btf;
use crate::error::Result;
use crate::ext::BtfExt;
use crate::id::TypeId;

use compact::Compact;
use state::State;

/// BTF without duplicates.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dedup {
    /// The types that are left, and the strings that they use; those of a builder stay all.
    pub btf: Btf,
    /// What became of each own type, in the order of the old ids.
    pub ids: Vec<TypeId>,
}

impl Btf {
    /// The same types with each of them once.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a type of unknown kind,
    /// [`Error::Depth`](crate::Error::Depth) for a loop that does not go through a struct, union or
    /// typedef.
    #[doc(alias = "btf__dedup")]
    pub fn dedup(&self) -> Result<Dedup> {
        Compact::new(self.decide()?).finish(self)
    }

    /// The same, with the `.BTF.ext` that belongs to it changed alike.
    ///
    /// # Errors
    /// As [`dedup`](Self::dedup), and for ids and offsets in `ext` that do not exist.
    pub fn dedup_with_ext(&self, ext: &BtfExt) -> Result<(Dedup, BtfExt)> {
        let mut compact = Compact::new(self.decide()?);
        let ext = compact.rewrite(self, ext)?;
        Ok((compact.finish(self)?, ext))
    }

    fn decide(&self) -> Result<State> {
        let mut state = State::new(self)?;
        simple::run(&mut state);
        structs::run(&mut state);
        structs::resolve_forward(&mut state);
        refs::run(&mut state)?;
        Ok(state)
    }
}

#[cfg(test)]
mod tests;
