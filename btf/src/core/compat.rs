//! Whether types, or the types of fields, are compatible: alike enough for CO-RE to relocate.

use super::mismatch::Mismatch;
use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::name;
use crate::query::{Budget, MAX_DEPTH};
use crate::types::TypeKind;

/// Two BTFs side by side, and how much comparing may still cost.
pub(super) struct Pair<'a> {
    pub(super) local: &'a Btf,
    pub(super) target: &'a Btf,
    pub(super) budget: Budget,
    /// What did not fit, once something did not.
    pub(super) mismatch: Option<Mismatch>,
}

impl<'a> Pair<'a> {
    pub(super) const fn new(local: &'a Btf, target: &'a Btf, root: TypeId) -> Self {
        Self {
            local,
            target,
            budget: Budget::new(root),
            mismatch: None,
        }
    }

    /// Both types without typedefs and modifiers.
    pub(super) fn skip(&self, local: TypeId, target: TypeId) -> Result<(TypeId, TypeId)> {
        Ok((
            self.local.skip_mods_and_typedefs(local)?,
            self.target.skip_mods_and_typedefs(target)?,
        ))
    }

    /// Whether two names, given as offsets, are the same but for the flavour.
    pub(super) fn same_essential_name(&self, local: u32, target: u32) -> bool {
        let essential = |bytes| name::essential(name::bounded(bytes));
        essential(self.local.strings_from(local)) == essential(self.target.strings_from(target))
    }

    /// The names of both types for the purpose of [`Self::same_essential_name`].
    pub(super) fn names(&self, local: TypeId, target: TypeId) -> Result<(u32, u32)> {
        Ok((
            self.local.ty(local)?.name_off,
            self.target.ty(target)?.name_off,
        ))
    }

    /// Whether types are compatible; names count only where the caller compared them.
    pub(super) fn types_compatible(
        &mut self,
        mut local: TypeId,
        mut target: TypeId,
        level: u32,
    ) -> Result<bool> {
        if !kinds_compatible(self.local.ty(local)?.kind, self.target.ty(target)?.kind) {
            return Ok(false);
        }
        for _ in 0..MAX_DEPTH {
            self.budget.spend(1)?;
            let (local_id, target_id) = self.skip(local, target)?;
            let (ours, theirs) = (
                self.local.ty(local_id)?.kind,
                self.target.ty(target_id)?.kind,
            );
            if !kinds_compatible(ours, theirs) {
                return Ok(false);
            }
            (local, target) = match (ours, theirs) {
                (TypeKind::Int { offset: a, .. }, TypeKind::Int { offset: b, .. }) => {
                    // An offset is how bit-fields were once described.
                    return Ok(a == 0 && b == 0);
                }
                (TypeKind::Ptr(a), TypeKind::Ptr(b)) => (a, b),
                (TypeKind::Array { elem: a, .. }, TypeKind::Array { elem: b, .. }) => (a, b),
                (
                    TypeKind::FuncProto {
                        ret: a,
                        params: ours,
                    },
                    TypeKind::FuncProto {
                        ret: b,
                        params: theirs,
                    },
                ) => {
                    if ours.len() != theirs.len() {
                        return Ok(false);
                    }
                    for (ours, theirs) in ours.iter().zip(theirs) {
                        let level = level.checked_sub(1).ok_or(Error::Depth {
                            id: local_id,
                            limit: MAX_DEPTH,
                        })?;
                        let (ours, theirs) = self.skip(ours.ty, theirs.ty)?;
                        if !self.types_compatible(ours, theirs, level)? {
                            return Ok(false);
                        }
                    }
                    self.skip(a, b)?
                }
                _ => {
                    let kind = ours.id();
                    return Ok(kind.is_some_and(|kind| {
                        kind.is_composite()
                            || kind.is_enum()
                            || matches!(kind, Kind::Void | Kind::Fwd)
                    }));
                }
            };
        }
        Err(Error::Depth {
            id: local,
            limit: MAX_DEPTH,
        })
    }

    /// Whether the types of two fields of the same name are compatible.
    pub(super) fn fields_compatible(
        &mut self,
        mut local: TypeId,
        mut target: TypeId,
    ) -> Result<bool> {
        for _ in 0..MAX_DEPTH {
            let (local_id, target_id) = self.skip(local, target)?;
            let (ours, theirs) = (
                self.local.ty(local_id)?.kind,
                self.target.ty(target_id)?.kind,
            );
            if ours.composite().is_some() && theirs.composite().is_some() {
                return Ok(true);
            }
            if !kinds_compatible(ours, theirs) {
                return Ok(false);
            }
            match (ours, theirs) {
                (TypeKind::Ptr(_) | TypeKind::Float { .. }, _) => return Ok(true),
                (TypeKind::Int { offset: a, .. }, TypeKind::Int { offset: b, .. }) => {
                    return Ok(a == 0 && b == 0);
                }
                (TypeKind::Fwd { .. } | TypeKind::Enum { .. } | TypeKind::Enum64 { .. }, _) => {
                    let (a, b) = self.names(local_id, target_id)?;
                    return Ok(a == 0 || b == 0 || self.same_essential_name(a, b));
                }
                (TypeKind::Array { elem: a, .. }, TypeKind::Array { elem: b, .. }) => {
                    (local, target) = (a, b);
                }
                _ => return Ok(false),
            }
        }
        Err(Error::Depth {
            id: local,
            limit: MAX_DEPTH,
        })
    }
}

/// Whether kinds are equal, enums of both widths being the same.
fn kinds_compatible(local: TypeKind<'_>, target: TypeKind<'_>) -> bool {
    match (local.id(), target.id()) {
        (Some(ours), Some(theirs)) => ours == theirs || ours.is_enum() && theirs.is_enum(),
        _ => false,
    }
}

/// Whether a type of one BTF is compatible with a type of another, as
/// `bpf_core_type_exists` understands it: kinds agree all the way, names do not matter.
///
/// Externs of kernel variables and functions are compared like this with what the kernel has.
///
/// # Errors
/// [`Error::NoType`], or [`Error::Depth`] or [`Error::TooComplex`] for nesting beyond reason.
#[doc(alias = "bpf_core_types_are_compat")]
pub fn types_compatible(
    local: &Btf,
    local_id: TypeId,
    target: &Btf,
    target_id: TypeId,
) -> Result<bool> {
    Pair::new(local, target, local_id).types_compatible(local_id, target_id, MAX_DEPTH)
}
