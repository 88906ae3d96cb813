//! From a distilled base to a real one.

use std::sync::Arc;

use crate::btf::Btf;
use crate::builder::{BtfBuilder, Copy};
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::types::TypeKind;

impl Btf {
    /// The same types on another base, in which those of the present one are looked up by name.
    ///
    /// The present base must be a distilled one. An integer, float or enum has the same size in the
    /// new base, and so has a struct or union that is there more than once by that name, or that is
    /// embedded in an own type. A declaration becomes the struct or union that it declares if the
    /// new base has exactly one of that name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a base, [`Error::Base`] if the base is not distilled, or has a
    /// type that is not in the new one, or fits several types there.
    #[doc(alias = "btf__relocate")]
    pub fn relocate(&self, base: Arc<Self>) -> Result<Self> {
        let Some(distilled) = self.base() else {
            return Err(Error::Unsupported {
                what: "relocating BTF that has no base",
            });
        };
        let is_embedded = self.embedded()?;
        let mut ids = vec![TypeId::VOID];
        for id in distilled.ids() {
            let is_embedded = is_embedded.get(id.0 as usize) == Some(&true);
            ids.push(Self::find_distilled(distilled, id, is_embedded, &base)?);
        }
        let mut new = BtfBuilder::new_split(Arc::clone(&base));
        let mut copy = Copy::with_base(self);
        for id in self.own_ids() {
            copy.ty(&mut new, id, |id| match id.0.checked_sub(self.start_id) {
                Some(own) => {
                    let new = own.checked_add(base.len());
                    Ok(TypeId(new.ok_or(Error::TooLarge { what: "types" })?))
                }
                None => {
                    let len = self.len();
                    let new = ids.get(id.0 as usize).copied();
                    new.ok_or(Error::NoType { id, len })
                }
            })?;
        }
        new.finish()
    }

    /// Which types of the base are part of an own struct or union, so that their size matters.
    fn embedded(&self) -> Result<Vec<bool>> {
        let mut is_embedded = vec![false; self.start_id as usize];
        for id in self.own_ids() {
            let Some(composite) = self.ty(id)?.kind.composite() else {
                continue;
            };
            for member in composite.members() {
                let ty = self.skip_to_value(member.ty)?;
                if let Some(flag) = is_embedded.get_mut(ty.0 as usize) {
                    *flag = true;
                }
            }
        }
        Ok(is_embedded)
    }

    /// The type whose size a type has: behind typedefs, modifiers and arrays.
    fn skip_to_value(&self, id: TypeId) -> Result<TypeId> {
        self.skip(id, |kind| match kind {
            TypeKind::Typedef(ty) | TypeKind::Array { elem: ty, .. } => Some(*ty),
            other => other.modified(),
        })
    }

    /// The one type of `base` that a type of a distilled base means.
    fn find_distilled(
        distilled: &Self,
        id: TypeId,
        is_embedded: bool,
        base: &Self,
    ) -> Result<TypeId> {
        let fault = |problem| Err(distilled.base_fault(id, problem));
        let ty = distilled.ty(id)?;
        let name = distilled.name(id)?;
        if name.is_empty() {
            return fault("has no name, so the base is not a distilled one");
        }
        let mut same_name = Vec::new();
        for candidate in base.all_named(name) {
            same_name.push((candidate, base.ty(candidate)?.kind));
        }
        let of = |fits: &dyn Fn(TypeKind<'_>) -> bool| -> Vec<TypeId> {
            let fitting = same_name.iter().filter(|(_, kind)| fits(*kind));
            fitting.map(|(id, _)| *id).collect()
        };
        let found = match ty.kind {
            TypeKind::Int { size, encoding, .. } => of(
                &|kind| matches!(kind, TypeKind::Int { size: s, encoding: e, .. } if (s, e) == (size, encoding)),
            ),
            TypeKind::Float { size } => {
                of(&|kind| matches!(kind, TypeKind::Float { size: s } if s == size))
            }
            TypeKind::Enum { size, .. } => of(
                &|kind| matches!(kind, TypeKind::Enum { size: s, .. } | TypeKind::Enum64 { size: s, .. } if s == size),
            ),
            TypeKind::Fwd { union } => {
                let declared = if union { Kind::Union } else { Kind::Struct };
                let defined = of(&|kind| kind.id() == Some(declared));
                match defined.as_slice() {
                    [_] => defined,
                    _ => of(&|kind| matches!(kind, TypeKind::Fwd { union: u } if u == union)),
                }
            }
            TypeKind::Struct(this) | TypeKind::Union(this) => {
                let same_kind = of(&|kind| kind.id() == ty.kind.id());
                if same_kind.len() == 1 && !is_embedded {
                    same_kind
                } else {
                    of(&|kind| {
                        let other = kind.composite().filter(|_| kind.id() == ty.kind.id());
                        other.is_some_and(|other| other.size == this.size)
                    })
                }
            }
            _ => return fault("is of a kind that a distilled base does not have"),
        };
        match found.as_slice() {
            [only] => Ok(*only),
            [] => fault("is not in the new base"),
            _ => fault("is more than once in the new base"),
        }
    }
}

#[cfg(test)]
mod tests;
