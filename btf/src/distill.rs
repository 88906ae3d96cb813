//! What a split BTF needs of its base, and no more.
//!
//! A module that is built apart from the kernel that it runs on refers to the types of a kernel
//! that it was built against. Its distilled base names them: integers and floats whole, structs,
//! unions and enums by name and size. With that [`relocate`](Btf::relocate) finds them in any kernel.

use std::sync::Arc;

use crate::btf::Btf;
use crate::builder::{BtfBuilder, Copy};
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::shape::Field;
use crate::types::TypeKind;

/// A split BTF that brings its own small base.
#[derive(Debug)]
#[non_exhaustive]
pub struct Distilled {
    /// The names of what is needed (`.BTF.base` of a module).
    pub base: Arc<Btf>,
    /// The types, on that base.
    pub split: Btf,
}

impl Btf {
    /// The same types on the smallest base that says which types of the old one they mean.
    ///
    /// Types of the old base that have no name of their own, such as pointers and arrays, become
    /// own types.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a base, [`Error::Base`] if an own type refers to a function,
    /// variable, section or tag of it.
    #[doc(alias = "btf__distill_base")]
    pub fn distill(&self) -> Result<Distilled> {
        if self.base().is_none() {
            return Err(Error::Unsupported {
                what: "distilling the base of BTF that has none",
            });
        }
        let needed = self.needed_of_base()?;
        let mut ids = vec![TypeId::VOID; self.len() as usize];
        let mut base = BtfBuilder::new().endian(self.endian());
        let mut copy = Copy::with_base(self);
        for id in &needed {
            let new = match (self.ty(*id)?.kind, self.name(*id)?) {
                (TypeKind::Int { .. } | TypeKind::Float { .. } | TypeKind::Fwd { .. }, _) => {
                    copy.ty(&mut base, *id, Ok)?
                }
                (_, "") => continue,
                (TypeKind::Struct(composite), name) => {
                    base.add_struct(name, composite.size, &[])?
                }
                (TypeKind::Union(composite), name) => base.add_union(name, composite.size, &[])?,
                // Relocation matches an enum of this name and size, of either kind.
                (TypeKind::Enum { size, .. } | TypeKind::Enum64 { size, .. }, name) => {
                    base.add_enum(name, size, &[])?
                }
                _ => continue,
            };
            set(&mut ids, *id, new);
        }
        let base = Arc::new(base.finish()?);

        let is_unnamed = |id: &TypeId| ids.get(id.0 as usize) == Some(&TypeId::VOID);
        let unnamed: Vec<_> = needed.into_iter().filter(is_unnamed).collect();
        let all: Vec<_> = self.own_ids().chain(unnamed).collect();
        for (id, new) in all.iter().zip(base.len()..) {
            set(&mut ids, *id, TypeId(new));
        }
        let mut split = BtfBuilder::new_split(Arc::clone(&base));
        let mut copy = Copy::with_base(self);
        for id in all {
            copy.ty(&mut split, id, |id| {
                let new = ids.get(id.0 as usize).copied();
                let len = self.len();
                new.ok_or(Error::NoType { id, len })
            })?;
        }
        Ok(Distilled {
            base,
            split: split.finish()?,
        })
    }

    /// The types of the base that own types lead to, not through structs and unions with names;
    /// ascending.
    fn needed_of_base(&self) -> Result<Vec<TypeId>> {
        let mut is_needed = vec![false; self.start_id as usize];
        let mut needed = Vec::new();
        let mut todo: Vec<_> = self.own_ids().collect();
        while let Some(id) = todo.pop() {
            let Some(raw) = self.raw(id) else {
                continue;
            };
            let base = [raw.name_off, raw.info.0, raw.third];
            raw.info.shape().visit(base, raw.extra(), |field, word| {
                let Some(known) = is_needed.get_mut(word as usize) else {
                    return Ok(());
                };
                if field != Field::Type || word == 0 || *known {
                    return Ok(());
                }
                *known = true;
                let id = TypeId(word);
                needed.push(id);
                let ty = self.ty(id)?;
                match ty.kind {
                    TypeKind::Func { .. }
                    | TypeKind::Var { .. }
                    | TypeKind::Datasec { .. }
                    | TypeKind::DeclTag { .. }
                    | TypeKind::Unknown { .. } => {
                        return Err(self.base_fault(id, "is nothing that a type can refer to"));
                    }
                    TypeKind::Struct(_) | TypeKind::Union(_) if !ty.is_anonymous() => {}
                    _ => todo.push(id),
                }
                Ok(())
            })?;
        }
        needed.sort_unstable();
        Ok(needed)
    }

    pub(crate) fn base_fault(&self, id: TypeId, problem: &'static str) -> Error {
        Error::Base {
            id,
            kind: self.kind_of(id).map_or("unknown", Kind::name),
            name: self.name(id).unwrap_or_default().into(),
            problem,
        }
    }
}

fn set(ids: &mut [TypeId], id: TypeId, new: TypeId) {
    if let Some(slot) = ids.get_mut(id.0 as usize) {
        *slot = new;
    }
}
