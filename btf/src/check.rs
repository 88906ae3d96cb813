//! Whether BTF makes sense: what the kernel asks of BTF before it takes it.
//!
//! [`parse`](Btf::parse) makes sure that all can be read and every reference leads somewhere. This
//! looks at what it says: sizes, offsets, names, and chains that never end.

use crate::btf::Btf;
use crate::entries::Enumerators;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::{Composite, Type, TypeKind};

impl Btf {
    /// Checks all own types as the kernel does when BTF is loaded.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first type that makes no sense: a member outside its struct, a
    /// name that no C compiler would take, a type that contains itself.
    pub fn check(&self) -> Result<()> {
        for id in self.own_ids() {
            let ty = self.ty(id)?;
            let fault = self.fault_of(&ty)?;
            if let Some(problem) = fault.or(self.name_fault(&ty)) {
                return Err(self.invalid(id, problem));
            }
        }
        let by_value = |btf: &Self, id: TypeId, next: usize| btf.contained(id, next);
        if let Some(id) = self.find_loop(by_value) {
            return Err(self.invalid(id, "contains itself"));
        }
        let by_reference = |btf: &Self, id: TypeId, next: usize| btf.referred(id, next);
        match self.find_loop(by_reference) {
            Some(id) => Err(self.invalid(id, "refers to itself, and to no struct on the way")),
            None => Ok(()),
        }
    }

    fn invalid(&self, id: TypeId, problem: &'static str) -> Error {
        let offset = self.record_offset(id);
        Error::Invalid {
            id,
            offset,
            problem,
        }
    }

    fn fault_of(&self, ty: &Type<'_>) -> Result<Option<&'static str>> {
        Ok(match ty.kind {
            TypeKind::Int {
                size, bits, offset, ..
            } => {
                let used = u32::from(bits) + u32::from(offset);
                let fits = size.is_power_of_two() && size <= 16 && used <= size * 8;
                (!fits).then_some("has bits outside its bytes")
            }
            TypeKind::Struct(composite) => self.member_fault(composite, ty.kind_flag, false),
            TypeKind::Union(composite) => self.member_fault(composite, ty.kind_flag, true),
            TypeKind::Enum { size, values, .. } | TypeKind::Enum64 { size, values, .. } => {
                self.enum_fault(size, values)
            }
            TypeKind::Float { size } => {
                (!matches!(size, 2 | 4 | 8 | 12 | 16)).then_some("has a size that no float has")
            }
            TypeKind::Array { elem, index, .. } => self.array_fault(ty.id, elem, index)?,
            TypeKind::FuncProto { params, .. } => {
                let all = params.len();
                let is_void = |index: usize| {
                    let param = params.get(index);
                    param.is_some_and(|param| param.ty.is_void())
                };
                let early = (0..all.saturating_sub(1)).any(is_void);
                early.then_some("has a parameter of type void before the last")
            }
            TypeKind::DeclTag { ty, component } => self.tag_fault(ty, component)?,
            TypeKind::Datasec { size, secinfos } => {
                let mut end = 0;
                let mut fault = None;
                for info in secinfos {
                    let next = u64::from(info.offset) + u64::from(info.size);
                    let kind = self.ty(info.ty)?.kind;
                    if !matches!(kind, TypeKind::Var { .. } | TypeKind::Func { .. }) {
                        fault = Some("has something in it that is no variable or function");
                    } else if u64::from(info.offset) < end || size != 0 && next > u64::from(size) {
                        fault = Some("has variables that overlap or reach behind its end");
                    }
                    // Before linking all offsets are 0.
                    end = if size == 0 { 0 } else { next };
                }
                fault
            }
            _ => None,
        })
    }

    fn member_fault(
        &self,
        composite: Composite<'_>,
        has_bitfields: bool,
        is_union: bool,
    ) -> Option<&'static str> {
        let bits = u64::from(composite.size) * 8;
        let mut before = 0;
        for member in composite.members() {
            if is_union && member.bit_offset != 0 {
                return Some("is a union with a member that does not start at 0");
            }
            if member.bit_offset < before {
                return Some("has members that are not in order");
            }
            before = member.bit_offset;
            let size = match member.bitfield_size {
                0 if !has_bitfields && self.is_old_bitfield(member.ty) => 0,
                0 if !member.bit_offset.is_multiple_of(8) => {
                    return Some("has a member that starts inside a byte");
                }
                0 => match self.resolve_size(member.ty) {
                    Ok(size) => u64::from(size) * 8,
                    Err(_) => return Some("has a member without a size"),
                },
                size => size.into(),
            };
            if u64::from(member.bit_offset) + size > bits {
                return Some("has a member that reaches behind its end");
            }
        }
        None
    }

    /// Whether a type is an integer of fewer bits than its bytes have.
    fn is_old_bitfield(&self, id: TypeId) -> bool {
        let ty = self.skip_mods_and_typedefs(id).and_then(|id| self.ty(id));
        matches!(ty.map(|ty| ty.kind), Ok(TypeKind::Int { size, bits, .. })
            if u32::from(bits) != size.saturating_mul(8))
    }

    fn enum_fault(&self, size: u32, values: Enumerators<'_>) -> Option<&'static str> {
        if !matches!(size, 1 | 2 | 4 | 8) {
            return Some("has a size that no enum has");
        }
        let is_named = |name_off| self.name_at(name_off).is_ok_and(is_identifier);
        let all_named = values.iter().all(|value| is_named(value.name_off));
        (!all_named).then_some("has a value whose name is no identifier")
    }

    fn array_fault(&self, id: TypeId, elem: TypeId, index: TypeId) -> Result<Option<&'static str>> {
        let index = self.ty(self.skip_mods_and_typedefs(index)?)?.kind;
        if !matches!(index, TypeKind::Int { .. }) {
            return Ok(Some("has an index that is no integer"));
        }
        if self.resolve_size(elem).is_err() {
            return Ok(Some("has elements without a size"));
        }
        let size = self.resolve_size(id);
        Ok(size
            .is_err()
            .then_some("has more bytes than can be counted"))
    }

    fn tag_fault(&self, tagged: TypeId, component: i32) -> Result<Option<&'static str>> {
        let parts = match self.ty(tagged)?.kind {
            TypeKind::Struct(composite) | TypeKind::Union(composite) => composite.members.len(),
            TypeKind::Func { proto, .. } => match self.ty(proto)?.kind {
                TypeKind::FuncProto { params, .. } => params.len(),
                _ => 0,
            },
            TypeKind::Var { .. } | TypeKind::Typedef(_) => 0,
            _ => return Ok(Some("tags something that cannot have a tag")),
        };
        let is_there =
            component == -1 || usize::try_from(component).is_ok_and(|component| component < parts);
        Ok((!is_there).then_some("tags a member or parameter that does not exist"))
    }

    fn name_fault(&self, ty: &Type<'_>) -> Option<&'static str> {
        let Ok(name) = self.name_at(ty.name_off) else {
            return Some("has a name that is no text");
        };
        let is_right = match ty.kind {
            TypeKind::Ptr(_)
            | TypeKind::Array { .. }
            | TypeKind::Volatile(_)
            | TypeKind::Const(_)
            | TypeKind::Restrict(_)
            | TypeKind::FuncProto { .. } => name.is_empty(),
            TypeKind::Struct(_)
            | TypeKind::Union(_)
            | TypeKind::Enum { .. }
            | TypeKind::Enum64 { .. } => name.is_empty() || is_identifier(name),
            TypeKind::Typedef(_)
            | TypeKind::Fwd { .. }
            | TypeKind::Func { .. }
            | TypeKind::Var { .. } => is_identifier(name),
            // Names of integers have spaces, and tags may say anything.
            TypeKind::Int { .. }
            | TypeKind::Float { .. }
            | TypeKind::TypeTag(_)
            | TypeKind::DeclTag { .. } => !name.is_empty(),
            TypeKind::Datasec { .. } => {
                !name.is_empty() && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            }
            TypeKind::Void | TypeKind::Unknown { .. } => true,
        };
        (!is_right).then_some("has a name that its kind cannot have")
    }

    /// The `next`-th type that a type has inside.
    fn contained(&self, id: TypeId, next: usize) -> Option<TypeId> {
        match self.ty(id).ok()?.kind {
            TypeKind::Typedef(ty)
            | TypeKind::Volatile(ty)
            | TypeKind::Const(ty)
            | TypeKind::Restrict(ty)
            | TypeKind::TypeTag(ty)
            | TypeKind::Var { ty, .. }
            | TypeKind::Array { elem: ty, .. } => (next == 0).then_some(ty),
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                composite.members.get(next).map(|member| member.ty)
            }
            _ => None,
        }
    }

    /// The `next`-th type that a type refers to, if it is not one that may refer back.
    fn referred(&self, id: TypeId, next: usize) -> Option<TypeId> {
        match self.ty(id).ok()?.kind {
            TypeKind::Ptr(ty) => (next == 0).then_some(ty),
            TypeKind::Struct(_) | TypeKind::Union(_) => None,
            TypeKind::FuncProto { ret, params } => match next.checked_sub(1) {
                None => Some(ret),
                Some(index) => params.get(index).map(|param| param.ty),
            },
            _ => self.contained(id, next),
        }
    }

    /// An own type from which `step` leads back to itself.
    fn find_loop(&self, step: fn(&Self, TypeId, usize) -> Option<TypeId>) -> Option<TypeId> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Not,
            OnPath,
            Done,
        }
        let mut seen = vec![Seen::Not; self.starts.len()];
        let index = |id: TypeId| Some(id.0.checked_sub(self.start_id)? as usize);
        let mut path: Vec<(TypeId, usize)> = Vec::new();
        for id in self.own_ids() {
            path.push((id, 0));
            while let Some((at, next)) = path.last_mut() {
                let at = *at;
                // The base cannot refer to own types, so no loop leads through it.
                let Some(state) = index(at).and_then(|index| seen.get_mut(index)) else {
                    path.pop();
                    continue;
                };
                match (*state, *next) {
                    (Seen::Done, _) => {
                        path.pop();
                        continue;
                    }
                    (Seen::OnPath, 0) => return Some(at),
                    _ => *state = Seen::OnPath,
                }
                let target = step(self, at, *next);
                *next += 1;
                match target {
                    Some(target) => path.push((target, 0)),
                    None => {
                        *state = Seen::Done;
                        path.pop();
                    }
                }
            }
        }
        None
    }
}

/// Whether a C compiler would take this for a name; the compiler's own have dots and dollars.
fn is_identifier(name: &str) -> bool {
    let is_start = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'$');
    let mut bytes = name.bytes();
    bytes.next().as_ref().is_some_and(is_start)
        && bytes.all(|byte| is_start(&byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
