//! Whether types match: the stricter test of `bpf_core_type_matches`, which looks at names too.

use super::compat::Pair;
use crate::btf::Btf;
use crate::entries::{Enumerators, Members};
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::query::MAX_DEPTH;
use crate::types::TypeKind;

impl Pair<'_> {
    /// Whether types match; behind a pointer structs and unions are compared by name only.
    pub(super) fn types_match(
        &mut self,
        mut local: TypeId,
        mut target: TypeId,
        mut behind_ptr: bool,
        level: u32,
    ) -> Result<bool> {
        use TypeKind::{Array, Enum, Enum64, FuncProto, Fwd, Int, Ptr, Struct, Union, Void};
        let too_deep = Error::Depth {
            id: local,
            limit: MAX_DEPTH,
        };
        let Some(level) = level.checked_sub(1) else {
            return Err(too_deep);
        };
        for _ in 0..MAX_DEPTH {
            self.budget.spend(1)?;
            (local, target) = self.skip(local, target)?;
            let (local_name, target_name) = self.names(local, target)?;
            if !self.same_essential_name(local_name, target_name) {
                return Ok(false);
            }
            match (self.local.ty(local)?.kind, self.target.ty(target)?.kind) {
                (Void, Void) => return Ok(true),
                (Fwd { union: ours }, Fwd { union: theirs }) => return Ok(ours == theirs),
                (Fwd { union: false }, Struct(_))
                | (Fwd { union: true }, Union(_))
                | (Struct(_), Fwd { union: false })
                | (Union(_), Fwd { union: true }) => return Ok(behind_ptr),
                (Struct(ours), Struct(theirs)) | (Union(ours), Union(theirs)) => {
                    return Ok(
                        behind_ptr || self.members_match(ours.members, theirs.members, level)?
                    );
                }
                (
                    Enum {
                        size: ours,
                        values: a,
                        ..
                    }
                    | Enum64 {
                        size: ours,
                        values: a,
                        ..
                    },
                    Enum {
                        size: theirs,
                        values: b,
                        ..
                    }
                    | Enum64 {
                        size: theirs,
                        values: b,
                        ..
                    },
                ) => return Ok(ours == theirs && self.enumerators_match(a, b)?),
                (
                    Int {
                        size: ours,
                        encoding: a,
                        ..
                    },
                    Int {
                        size: theirs,
                        encoding: b,
                        ..
                    },
                ) => {
                    return Ok(ours == theirs && a.is_signed() == b.is_signed());
                }
                (Ptr(ours), Ptr(theirs)) => {
                    behind_ptr = true;
                    (local, target) = (ours, theirs);
                }
                (
                    Array {
                        elem: ours,
                        nelems: a,
                        ..
                    },
                    Array {
                        elem: theirs,
                        nelems: b,
                        ..
                    },
                ) => {
                    if a != b {
                        return Ok(false);
                    }
                    (local, target) = (ours, theirs);
                }
                (
                    FuncProto {
                        ret: ours,
                        params: a,
                    },
                    FuncProto {
                        ret: theirs,
                        params: b,
                    },
                ) => {
                    if a.len() != b.len() {
                        return Ok(false);
                    }
                    for (ours, theirs) in a.iter().zip(b) {
                        if !self.types_match(ours.ty, theirs.ty, behind_ptr, level)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = (ours, theirs);
                }
                _ => return Ok(false),
            }
        }
        Err(too_deep)
    }

    /// Whether each local member has a target member of the same name that matches.
    fn members_match(
        &mut self,
        ours: Members<'_>,
        theirs: Members<'_>,
        level: u32,
    ) -> Result<bool> {
        if ours.len() > theirs.len() {
            return Ok(false);
        }
        for our in ours {
            let mut matched = false;
            for their in theirs {
                self.budget.spend(1)?;
                matched = self.same_essential_name(our.name_off, their.name_off)
                    && self.types_match(our.ty, their.ty, false, level)?;
                if matched {
                    break;
                }
            }
            if !matched {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether each local enumerator has a target one of the same name; values do not matter.
    fn enumerators_match(
        &mut self,
        ours: Enumerators<'_>,
        theirs: Enumerators<'_>,
    ) -> Result<bool> {
        if ours.len() > theirs.len() {
            return Ok(false);
        }
        for our in ours {
            let mut matched = false;
            for their in theirs {
                self.budget.spend(1)?;
                matched = self.same_essential_name(our.name_off, their.name_off);
                if matched {
                    break;
                }
            }
            if !matched {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a type of one BTF matches a type of another, as `bpf_core_type_matches` understands it:
/// all that the local one has is there by name and type. Flavours of names are ignored.
///
/// # Errors
/// [`Error::NoType`], or [`Error::Depth`] or [`Error::TooComplex`] for nesting beyond reason.
#[doc(alias = "bpf_core_types_match")]
pub fn types_match(local: &Btf, local_id: TypeId, target: &Btf, target_id: TypeId) -> Result<bool> {
    Pair::new(local, target, local_id).types_match(local_id, target_id, false, MAX_DEPTH)
}
