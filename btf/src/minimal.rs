//! The smallest BTF of a kernel that still relocates given objects.
//!
//! In come the kernel's BTF and the resolved relocations; out goes BTF with the types and members
//! that those relocations met, some kilobytes in place of megabytes. An object can carry that along
//! for kernels that have no BTF of their own.

use std::collections::HashSet;
use std::sync::Arc;

use crate::btf::Btf;
use crate::builder::{BtfBuilder, Copy, NewMember};
use crate::core::{Class, RelocationKind, Resolution, Spec};
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::types::{Composite, TypeKind};

/// Collects what relocations need of a kernel's BTF.
///
/// What a relocation asks is answered alike by the whole and by the smallest BTF, but for ids of
/// the kernel's types ([`RelocationKind::TypeIdTarget`]): those are of the BTF that was asked.
#[derive(Debug)]
pub struct MinimalBtf {
    target: Arc<Btf>,
    /// How much of each type is kept.
    kept: Vec<Reach>,
    /// The members that are kept of structs and unions that are not kept whole.
    members: HashSet<(TypeId, u32)>,
}

/// How much of a type is kept, each including the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nothing,
    /// Its size: no members, and of a pointer not what is behind it.
    Value,
    /// What is behind pointers as well, to compare types.
    Pointers,
    /// All members as well.
    Members,
}

impl MinimalBtf {
    /// Nothing yet of this BTF.
    #[must_use]
    pub fn new(target: Arc<Btf>) -> Self {
        Self {
            kept: vec![Reach::Nothing; target.len() as usize],
            members: HashSet::new(),
            target,
        }
    }

    /// Keeps what a relocation met that was resolved against the same BTF.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for one that met a type of a module, [`Error::NoType`] for one that was
    /// resolved against other BTF.
    #[doc(alias = "min_core_btf")]
    pub fn add(&mut self, resolution: &Resolution) -> Result<()> {
        for tried in &resolution.tried {
            let Some(found) = &tried.matched else {
                continue;
            };
            if tried.target.module.is_some() {
                return Err(Error::Unsupported {
                    what: "keeping types of a module in minimal BTF",
                });
            }
            self.add_spec(found)?;
        }
        Ok(())
    }

    fn add_spec(&mut self, found: &Spec) -> Result<()> {
        let target = Arc::clone(&self.target);
        match found.kind.class() {
            Class::Type if found.kind == RelocationKind::TypeMatches => {
                self.keep(found.root, Reach::Members)
            }
            Class::Type => self.keep(found.root, Reach::Pointers),
            Class::Enumval => self.keep(found.root, Reach::Value),
            Class::Field => {
                let mut at = found.root;
                self.keep(at, Reach::Value)?;
                for index in found.indices.iter().skip(1) {
                    let composite_or_array = target.skip_mods_and_typedefs(at)?;
                    at = match target.ty(composite_or_array)?.kind {
                        TypeKind::Array { elem, .. } => elem,
                        kind => {
                            self.members.insert((composite_or_array, *index));
                            let composite = kind.composite();
                            let member = composite.and_then(|all| all.members.get(*index as usize));
                            member.map_or(TypeId::VOID, |member| member.ty)
                        }
                    };
                    self.keep(at, Reach::Value)?;
                }
                Ok(())
            }
        }
    }

    fn keep(&mut self, id: TypeId, reach: Reach) -> Result<()> {
        let target = Arc::clone(&self.target);
        let mut todo = vec![(id, reach)];
        while let Some((id, reach)) = todo.pop() {
            let len = target.len();
            let kept = self.kept.get_mut(id.0 as usize);
            let kept = kept.ok_or(Error::NoType { id, len })?;
            if *kept >= reach {
                continue;
            }
            *kept = reach;
            match target.ty(id)?.kind {
                TypeKind::Typedef(ty)
                | TypeKind::Const(ty)
                | TypeKind::Volatile(ty)
                | TypeKind::Restrict(ty)
                | TypeKind::TypeTag(ty) => todo.push((ty, reach)),
                TypeKind::Array { elem, index, .. } => {
                    todo.extend([(elem, reach), (index, Reach::Value)]);
                }
                TypeKind::Ptr(ty) if reach > Reach::Value => todo.push((ty, Reach::Pointers)),
                TypeKind::FuncProto { ret, params } => {
                    let params = params.iter().map(|param| (param.ty, reach));
                    todo.extend(params.chain([(ret, reach)]));
                }
                TypeKind::Struct(composite) | TypeKind::Union(composite)
                    if reach == Reach::Members =>
                {
                    todo.extend(composite.members().iter().map(|member| (member.ty, reach)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The BTF of all that was added.
    ///
    /// # Errors
    /// [`Error::NotUtf8`] for a member whose name is no text.
    pub fn finish(&self) -> Result<Btf> {
        let target = &*self.target;
        let is_kept = |id: TypeId| {
            let kept = self.kept.get(id.0 as usize);
            kept.is_some_and(|kept| *kept != Reach::Nothing)
        };
        // Of a pointer only that it is one counts, unless what is behind it is kept: one stands for all.
        let is_any_pointer = |id: TypeId| {
            let is_value = self.kept.get(id.0 as usize) == Some(&Reach::Value);
            is_value && target.kind_of(id) == Some(Kind::Ptr)
        };
        let mut ids = vec![TypeId::VOID; self.kept.len()];
        let mut set = |id: TypeId, new| {
            if let Some(slot) = ids.get_mut(id.0 as usize) {
                *slot = new;
            }
        };
        let kept = target.ids().filter(|id| is_kept(*id));
        let (pointers, mut own): (Vec<_>, Vec<_>) = kept.partition(|id| is_any_pointer(*id));
        own.extend(pointers.first());
        let mut last = TypeId::VOID;
        for (id, new) in own.iter().zip(1..) {
            last = TypeId(new);
            set(*id, last);
        }
        for pointer in pointers {
            set(pointer, last);
        }
        // What is not kept is void: only pointers get by without what they refer to.
        let new = |id: TypeId| ids.get(id.0 as usize).copied().unwrap_or_default();
        let mut builder = BtfBuilder::new()
            .pointer_size(target.pointer_size())
            .endian(target.endian());
        let mut copy = Copy::with_base(target);
        for id in own {
            let name = target.name(id)?;
            match target.ty(id)?.kind {
                TypeKind::Struct(composite) => {
                    let members = self.members_of(id, composite, new)?;
                    builder.add_struct(name, composite.size, &members)?;
                }
                TypeKind::Union(composite) => {
                    let members = self.members_of(id, composite, new)?;
                    builder.add_union(name, composite.size, &members)?;
                }
                TypeKind::Ptr(_) if is_any_pointer(id) => {
                    builder.add_ptr(TypeId::VOID)?;
                }
                _ => {
                    copy.ty(&mut builder, id, |id| Ok(new(id)))?;
                }
            }
        }
        // Not made smaller by `dedup`: it would put the struct where a declaration of it was.
        builder.finish()
    }

    fn members_of(
        &self,
        id: TypeId,
        composite: Composite<'_>,
        new: impl Fn(TypeId) -> TypeId,
    ) -> Result<Vec<NewMember<'_>>> {
        let is_whole = self.kept.get(id.0 as usize) == Some(&Reach::Members);
        let members = (0u32..).zip(composite.members());
        let members = members.filter(|(index, _)| is_whole || self.members.contains(&(id, *index)));
        members
            .map(|(_, member)| {
                Ok(NewMember {
                    name: self.target.name_at(member.name_off)?,
                    ty: new(member.ty),
                    bit_offset: member.bit_offset,
                    bitfield_size: member.bitfield_size,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Outcome, Resolver};
    use crate::ext::CoreRelo;
    use crate::testing::at;
    use crate::types::IntEncoding;

    /// A kernel in which `a.inner.wanted`, `a.array[1].deep`, and much else is.
    fn kernel() -> Arc<Btf> {
        let mut btf = BtfBuilder::new().pointer_size(8);
        let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        let other = btf.add_struct("other", 4, &[at("x", int, 0)]).unwrap();
        let ptr = btf.add_ptr(other).unwrap();
        let inner = btf
            .add_union("", 8, &[at("wanted", ptr, 0), at("unwanted", int, 0)])
            .unwrap();
        let element = btf
            .add_struct("element", 8, &[at("skip", int, 0), at("deep", int, 4)])
            .unwrap();
        let typedef = btf.add_typedef("element_t", element).unwrap();
        let array = btf.add_array(typedef, int, 3).unwrap();
        let members = [
            at("", inner, 0),
            at("unused", int, 8),
            at("array", array, 12),
        ];
        btf.add_struct("a", 40, &members).unwrap();
        btf.add_struct("unrelated", 4, &[at("x", int, 0)]).unwrap();
        Arc::new(btf.finish().unwrap())
    }

    fn relocation(
        local: &mut BtfBuilder,
        type_id: TypeId,
        access: &str,
        kind: RelocationKind,
    ) -> CoreRelo {
        CoreRelo {
            insn_off: 0,
            type_id,
            access_str_off: local.add_str(access).unwrap(),
            kind: kind as u32,
        }
    }

    /// The smallest BTF for relocations, all of which it answers as the kernel's does.
    fn smallest(local: BtfBuilder, relocations: &[CoreRelo], kernel: &Arc<Btf>) -> Arc<Btf> {
        let local = Arc::new(local.finish().unwrap());
        let resolve = |target: &Arc<Btf>| -> Vec<Arc<Resolution>> {
            let mut resolver = Resolver::new(Arc::clone(&local), Arc::clone(target));
            let resolve = |relo: &CoreRelo| resolver.resolve(relo).unwrap();
            relocations.iter().map(resolve).collect()
        };
        let resolutions = resolve(kernel);
        let mut minimal = MinimalBtf::new(Arc::clone(kernel));
        for resolution in &resolutions {
            minimal.add(resolution).unwrap();
        }
        let minimal = Arc::new(minimal.finish().unwrap());
        let outcomes = |all: Vec<Arc<Resolution>>| -> Vec<Outcome> {
            all.iter().map(|resolution| resolution.outcome).collect()
        };
        assert_eq!(outcomes(resolve(&minimal)), outcomes(resolutions));
        minimal
    }

    #[test]
    fn relocations_have_the_same_outcome_and_little_is_left() {
        let mut local = BtfBuilder::new().pointer_size(8);
        let int = local.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        let ptr = local.add_ptr(TypeId::VOID).unwrap();
        let element = local
            .add_struct("element", 4, &[at("deep", int, 0)])
            .unwrap();
        let array = local.add_array(element, int, 2).unwrap();
        let a = local
            .add_struct("a", 16, &[at("wanted", ptr, 0), at("array", array, 8)])
            .unwrap();
        let other = local.add_struct("other", 4, &[at("x", int, 0)]).unwrap();
        let missing = local.add_struct("missing", 4, &[at("x", int, 0)]).unwrap();
        use RelocationKind as K;
        let relocations = [
            (a, "0:0", K::FieldByteOffset),
            (a, "0:1:1:0", K::FieldByteOffset),
            (a, "0:1", K::FieldByteSize),
            (a, "0", K::TypeSize),
            (other, "0", K::TypeMatches),
            (missing, "0", K::TypeExists),
        ]
        .map(|(id, access, kind)| relocation(&mut local, id, access, kind));
        let minimal = smallest(local, &relocations, &kernel());
        assert_eq!(minimal.find("unrelated", Kind::Struct), None);
        let members = |name| {
            let ty = minimal
                .ty(minimal.find(name, Kind::Struct).unwrap())
                .unwrap();
            ty.kind.composite().unwrap().members.len()
        };
        assert_eq!(
            (members("a"), members("element"), members("other")),
            (2, 1, 1)
        );
    }

    /// Found by the fuzzer: the struct went where the declaration was.
    #[test]
    fn a_declaration_stays_one_beside_the_struct_of_its_name() {
        let types = || {
            let mut btf = BtfBuilder::new().pointer_size(8);
            let declared = btf.add_fwd("twice", false).unwrap();
            let typedef = btf.add_typedef("declared", declared).unwrap();
            let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
            let whole = btf.add_struct("twice", 4, &[at("x", int, 0)]).unwrap();
            (btf, typedef, whole)
        };
        let (mut local, typedef, whole) = types();
        let relocations = [
            (typedef, "0", RelocationKind::TypeExists),
            (whole, "0:0", RelocationKind::FieldExists),
        ]
        .map(|(id, access, kind)| relocation(&mut local, id, access, kind));
        let kernel = Arc::new(types().0.finish().unwrap());
        smallest(local, &relocations, &kernel);
    }

    #[test]
    fn nothing_is_left_of_nothing() {
        let minimal = MinimalBtf::new(kernel()).finish().unwrap();
        assert_eq!(minimal.len(), 1);
    }
}
