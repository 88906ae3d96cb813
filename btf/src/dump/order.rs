//! What must be defined before what.
//!
//! A struct needs what its members are made of, but of what they point to only that it exists, if
//! that has a name. So a reference is strong, or it is weak: through a pointer to something that
//! can be declared without its definition.

use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::TypeKind;

use super::printer::{Printer, State};

impl Printer<'_> {
    /// Puts into the queue what must be defined for this type, itself last; the result is whether
    /// the reference to it is strong.
    pub(super) fn order(&mut self, id: TypeId, through_ptr: bool, depth: u32) -> Result<bool> {
        let state = self.state(id);
        if state.has(State::ORDERED) {
            return Ok(true);
        }
        let depth = self.descend(id, depth)?;
        let ty = self.btf.ty(id)?;
        let named = !ty.is_anonymous();
        if state.has(State::ORDERING) {
            return match through_ptr && named {
                true => Ok(false),
                false => Err(Error::Cycle { id }),
            };
        }
        match ty.kind {
            TypeKind::Ptr(to) => {
                let strong = self.order(to, true, depth)?;
                self.set(id, State::ORDERED);
                Ok(strong)
            }
            TypeKind::Array { elem, .. } => self.order(elem, false, depth),
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                if through_ptr && named {
                    return Ok(false);
                }
                self.set(id, State::ORDERING);
                for member in composite.members {
                    self.order(member.ty, false, depth)?;
                }
                Ok(self.enqueue(id, named))
            }
            // Without a name, an enum that nobody refers to is there for its values.
            TypeKind::Enum { .. } | TypeKind::Enum64 { .. } | TypeKind::Fwd { .. } => {
                let alone = named || !self.is_referenced(id)?;
                Ok(self.enqueue(id, alone))
            }
            TypeKind::Typedef(to) => {
                let strong = self.order(to, through_ptr, depth)?;
                if through_ptr && !strong {
                    return Ok(false);
                }
                Ok(self.enqueue(id, true))
            }
            TypeKind::Volatile(to)
            | TypeKind::Const(to)
            | TypeKind::Restrict(to)
            | TypeKind::TypeTag(to) => self.order(to, through_ptr, depth),
            TypeKind::FuncProto { ret, params } => {
                let mut strong = self.order(ret, through_ptr, depth)?;
                for param in params {
                    strong |= self.order(param.ty, through_ptr, depth)?;
                }
                Ok(strong)
            }
            // None of these is defined in C; a declaration that needs one will say so.
            TypeKind::Void
            | TypeKind::Int { .. }
            | TypeKind::Float { .. }
            | TypeKind::Func { .. }
            | TypeKind::Var { .. }
            | TypeKind::Datasec { .. }
            | TypeKind::DeclTag { .. }
            | TypeKind::Unknown { .. } => {
                self.set(id, State::ORDERED);
                Ok(false)
            }
        }
    }

    fn enqueue(&mut self, id: TypeId, alone: bool) -> bool {
        if alone {
            self.queue.push(id);
        }
        self.set(id, State::ORDERED);
        true
    }

    /// Whether another type refers to this one; what functions return is not counted.
    fn is_referenced(&mut self, id: TypeId) -> Result<bool> {
        if !self.knows_references {
            self.knows_references = true;
            for id in self.btf.ids() {
                self.mark_references(id)?;
            }
        }
        Ok(self.state(id).has(State::REFERENCED))
    }

    fn mark_references(&mut self, id: TypeId) -> Result<()> {
        let flag = State::REFERENCED;
        match self.btf.ty(id)?.kind {
            TypeKind::Ptr(to)
            | TypeKind::Typedef(to)
            | TypeKind::Volatile(to)
            | TypeKind::Const(to)
            | TypeKind::Restrict(to)
            | TypeKind::TypeTag(to)
            | TypeKind::DeclTag { ty: to, .. }
            | TypeKind::Func { proto: to, .. }
            | TypeKind::Var { ty: to, .. } => self.set(to, flag),
            TypeKind::Array { elem, index, .. } => {
                self.set(elem, flag);
                self.set(index, flag);
            }
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                for member in composite.members {
                    self.set(member.ty, flag);
                }
            }
            TypeKind::FuncProto { params, .. } => {
                for param in params {
                    self.set(param.ty, flag);
                }
            }
            TypeKind::Datasec { secinfos, .. } => {
                for secinfo in secinfos {
                    self.set(secinfo.ty, flag);
                }
            }
            TypeKind::Void
            | TypeKind::Int { .. }
            | TypeKind::Float { .. }
            | TypeKind::Enum { .. }
            | TypeKind::Enum64 { .. }
            | TypeKind::Fwd { .. }
            | TypeKind::Unknown { .. } => {}
        }
        Ok(())
    }
}
