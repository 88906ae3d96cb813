//! The same types in another order.

use crate::btf::Btf;
use crate::builder::{BtfBuilder, Copy};
use crate::error::{Error, Result};
use crate::ext::BtfExt;
use crate::id::TypeId;
use crate::name;

impl Btf {
    /// The own types with new ids: `ids` has that of each, in the order of the old ones.
    ///
    /// Strings that nothing uses are left out.
    ///
    /// # Errors
    /// [`Error::PermutationLength`] or [`Error::Permutation`] if `ids` is not each of the own ids once, [`Error::Unsupported`] for a
    /// type of unknown kind.
    #[doc(alias = "btf__permute")]
    pub fn permute(&self, ids: &[TypeId]) -> Result<Self> {
        self.permuted(ids)?.0.finish()
    }

    /// The same, with the `.BTF.ext` that belongs to it changed alike.
    ///
    /// # Errors
    /// As [`permute`](Self::permute), and for ids and offsets in `ext` that do not exist.
    pub fn permute_with_ext(&self, ids: &[TypeId], ext: &BtfExt) -> Result<(Self, BtfExt)> {
        let (mut builder, mut copy) = self.permuted(ids)?;
        let ext = ext.rewrite(
            |id| self.new_id(ids, id),
            |offset| copy.str(&mut builder, offset),
        )?;
        Ok((builder.finish()?, ext))
    }

    /// The new ids that [`permute`](Self::permute) sorts the own types with: those without a name
    /// first, then by name as `strcmp` has it, otherwise as before. New kernels
    /// have their BTF in this order (7.2 does, 6.18 does not), so it is searched without a table.
    #[must_use]
    pub fn sorted_ids(&self) -> Vec<TypeId> {
        let name = |id: TypeId| {
            let offset = self.raw(id).map_or(0, |raw| raw.name_off);
            name::bounded(self.strings_from(offset))
        };
        let mut named: Vec<_> = self.own_ids().map(|id| (name(id), id)).collect();
        named.sort();
        let mut ids = vec![TypeId::VOID; named.len()];
        for ((_, old), new) in named.into_iter().zip(self.own_ids()) {
            if let Some(slot) = ids.get_mut((old.0 - self.start_id) as usize) {
                *slot = new;
            }
        }
        ids
    }

    fn permuted(&self, ids: &[TypeId]) -> Result<(BtfBuilder, Copy<'_>)> {
        let mut order = vec![TypeId::VOID; self.starts.len()];
        let fault = |id, problem| Err(Error::Permutation { id, problem });
        if ids.len() != order.len() {
            return Err(Error::PermutationLength {
                found: ids.len(),
                expected: order.len(),
            });
        }
        for (old, new) in self.own_ids().zip(ids) {
            let index = new.0.checked_sub(self.start_id);
            match index.and_then(|index| order.get_mut(index as usize)) {
                Some(slot) if slot.is_void() => *slot = old,
                Some(_) => return fault(*new, "is there twice"),
                None => return fault(*new, "is no own type"),
            }
        }
        let mut builder = BtfBuilder::like(self);
        let mut copy = Copy::new(self);
        for old in order {
            copy.ty(&mut builder, old, |id| self.new_id(ids, id))?;
        }
        Ok((builder, copy))
    }

    fn new_id(&self, ids: &[TypeId], id: TypeId) -> Result<TypeId> {
        let Some(own) = id.0.checked_sub(self.start_id) else {
            return Ok(id);
        };
        let len = self.len();
        let new = ids.get(own as usize).copied();
        new.ok_or(Error::NoType { id, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use crate::types::{IntEncoding, TypeKind};

    fn sample() -> Btf {
        let mut btf = BtfBuilder::new();
        let int = btf.add_int("zz", 4, IntEncoding::SIGNED).unwrap();
        let ptr = btf.add_ptr(int).unwrap();
        btf.add_typedef("aa", ptr).unwrap();
        btf.add_const(TypeId(3)).unwrap();
        btf.finish().unwrap()
    }

    #[test]
    fn sorting_puts_names_in_order_and_keeps_what_types_mean() {
        let btf = sample();
        let ids = btf.sorted_ids();
        assert_eq!(ids, [4, 1, 3, 2].map(TypeId));
        let sorted = btf.permute(&ids).unwrap();
        assert_eq!(sorted.find("aa", Kind::Typedef), Some(TypeId(3)));
        assert!(matches!(
            sorted.ty(TypeId(2)).unwrap().kind,
            TypeKind::Const(TypeId(3))
        ));
        assert!(matches!(
            sorted.ty(TypeId(1)).unwrap().kind,
            TypeKind::Ptr(TypeId(4))
        ));
    }

    #[test]
    fn there_and_back_again_changes_nothing() {
        let btf = sample();
        let ids = [2, 3, 4, 1].map(TypeId);
        let back = [4, 1, 2, 3].map(TypeId);
        let again = btf.permute(&ids).unwrap().permute(&back).unwrap();
        let text = |btf: &Btf| {
            format!(
                "{:?}",
                btf.ids()
                    .map(|id| btf.ty(id).unwrap().kind.name())
                    .collect::<Vec<_>>()
            )
        };
        assert_eq!(text(&again), text(&btf));
        assert_eq!(again.find("zz", Kind::Int), Some(TypeId(1)));
    }

    #[test]
    fn what_is_no_permutation_is_refused() {
        for (ids, problem) in [
            (&[1, 2, 3][..], "3 new ids for 4 types"),
            (&[1, 2, 3, 3], "twice"),
            (&[1, 2, 3, 5], "no own type"),
            (&[0, 1, 2, 3], "no own type"),
        ] {
            let ids: Vec<_> = ids.iter().map(|id| TypeId(*id)).collect();
            let error = sample().permute(&ids).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
