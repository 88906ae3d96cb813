//! The access of a relocation, found again in another BTF.

use super::compat::Pair;
use super::kind::{Class, RelocationKind};
use super::mismatch::Mismatch;
use super::spec::{Accessor, MAX_LEN, Spec, is_flexible};
use crate::entries::Member;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::name;
use crate::query::MAX_DEPTH;
use crate::types::TypeKind;

/// The member that a named step looks for.
struct Wanted<'a> {
    name: &'a [u8],
    ty: TypeId,
}

impl Pair<'_> {
    /// What `local` is in the target when it starts from this type, or nothing if the type has no
    /// such field, value, or is another type altogether.
    pub(super) fn find(&mut self, local: &Spec, candidate: TypeId) -> Result<Option<Spec>> {
        let mut found = Spec::empty(local.kind, candidate);
        let matched = match local.kind.class() {
            Class::Type if local.kind == RelocationKind::TypeMatches => {
                self.types_match(local.root, candidate, false, MAX_DEPTH)?
            }
            Class::Type => self.types_compatible(local.root, candidate, MAX_DEPTH)?,
            Class::Enumval => self.find_enumerator(local, &mut found)?,
            Class::Field => self.find_field(local, &mut found)?,
        };
        if !matched {
            self.mismatch.get_or_insert(Mismatch::Type);
        }
        Ok(matched.then_some(found))
    }

    fn find_enumerator(&mut self, local: &Spec, found: &mut Spec) -> Result<bool> {
        let wanted = local
            .accessors
            .first()
            .and_then(|accessor| accessor.name_off)
            .unwrap_or(0);
        let ty = self.target.skip_mods_and_typedefs(found.root)?;
        let Some(values) = self.target.ty(ty)?.kind.enumerators() else {
            return Ok(false);
        };
        self.budget.spend(values.len())?;
        let is_it = |offset| self.same_essential_name(wanted, offset);
        let Some(index) = values.iter().position(|value| is_it(value.name_off)) else {
            self.mismatch = Some(Mismatch::NoEnumerator { name_off: wanted });
            return Ok(false);
        };
        let index = index as u32;
        let name_off = values.get(index as usize).map(|value| value.name_off);
        found.accessors.push(Accessor {
            ty,
            index,
            name_off,
        });
        found.indices.push(index);
        Ok(true)
    }

    fn find_field(&mut self, local: &Spec, found: &mut Spec) -> Result<bool> {
        let mut at = found.root;
        for (step, accessor) in local.accessors.iter().enumerate() {
            at = self.target.skip_mods_and_typedefs(at)?;
            let next = if let Some(name_off) = accessor.name_off {
                let composite = self.local.ty(accessor.ty)?.kind.composite();
                let member = composite.and_then(|all| all.members().get(accessor.index as usize));
                let Some(Member { ty, .. }) = member else {
                    return Ok(false);
                };
                let wanted = Wanted {
                    name: self.local.str_at(name_off)?,
                    ty,
                };
                let member = self.find_member(&wanted, at, found)?;
                if member.is_none() {
                    let within = at;
                    self.mismatch
                        .get_or_insert(Mismatch::NoMember { within, name_off });
                }
                member
            } else if step == 0 {
                // The candidate itself is an element of what the pointer points to.
                found.indices.push(accessor.index);
                found.element(self.target, at, accessor.index)?;
                Some(at)
            } else {
                self.find_element(accessor.index, at, found)?
            };
            let Some(next) = next else { return Ok(false) };
            at = next;
        }
        Ok(true)
    }

    fn find_element(&mut self, index: u32, at: TypeId, found: &mut Spec) -> Result<Option<TypeId>> {
        let TypeKind::Array { elem, nelems, .. } = self.target.ty(at)?.kind else {
            self.mismatch = Some(Mismatch::NoArray { found: at });
            return Ok(None);
        };
        if index >= nelems && !is_flexible(self.target, found.accessors.last(), nelems)? {
            self.mismatch = Some(Mismatch::TooShort { len: nelems, index });
            return Ok(None);
        }
        let elem = self.target.skip_mods_and_typedefs(elem)?;
        Self::count_step(found, elem)?;
        found.indices.push(index);
        found.element(self.target, elem, index)?;
        Ok(Some(elem))
    }

    /// Looks for a member by name, also inside of anonymous members; the result is its type.
    fn find_member(
        &mut self,
        wanted: &Wanted<'_>,
        within: TypeId,
        found: &mut Spec,
    ) -> Result<Option<TypeId>> {
        let within = self.target.skip_mods_and_typedefs(within)?;
        let Some(composite) = self.target.ty(within)?.kind.composite() else {
            return Ok(None);
        };
        for (index, member) in composite.members().iter().enumerate() {
            self.budget.spend(1)?;
            let index = index as u32;
            let name = self.target.strings_from(member.name_off);
            let anonymous = name.first() == Some(&0);
            if !anonymous && !name::is(name, wanted.name) {
                continue;
            }
            Self::count_step(found, within)?;
            let offset_before = found.bit_offset;
            found.indices.push(index);
            found.advance(within, Some(member.bit_offset.into()))?;
            if !anonymous {
                // There is no second field of that name, compatible or not.
                if !self.fields_compatible(wanted.ty, member.ty)? {
                    self.mismatch = Some(Mismatch::MemberType {
                        within,
                        name_off: member.name_off,
                        found: member.ty,
                        expected: wanted.ty,
                    });
                    return Ok(None);
                }
                let name_off = Some(member.name_off);
                found.accessors.push(Accessor {
                    ty: within,
                    index,
                    name_off,
                });
                return Ok(Some(member.ty));
            }
            let steps = found.indices.len();
            let inside = self.find_member(wanted, member.ty, found)?;
            // A field of the right name inside settles it, even if its type is wrong.
            if inside.is_some() || found.indices.len() != steps {
                return Ok(inside);
            }
            found.indices.pop();
            found.bit_offset = offset_before;
        }
        Ok(None)
    }

    /// Makes sure that one more step fits, which also bounds the recursion.
    fn count_step(found: &Spec, id: TypeId) -> Result<()> {
        if found.indices.len() >= MAX_LEN {
            return Err(Error::Depth {
                id,
                limit: MAX_LEN as u32,
            });
        }
        Ok(())
    }
}
