//! The order of types in a header: by what they are and by name, so that two BTFs of the same types
//! give the same text whatever the order of their types.
//!
//! It is the order of bpftool: enums, numbers, structs and unions, then typedefs among those that
//! they stand for, each by name; types that share their names by a hash of what they are made of.

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::name;
use crate::types::{Type, TypeKind};
use crate::view::View;

/// References that are followed from a type to its name.
const MAX_CHAIN: u32 = 192;
/// The rank of what comes last.
const LAST: u8 = 10;

/// What types are sorted by, but for the hash.
#[derive(Debug)]
struct Key<'a> {
    rank: u8,
    /// The name of what the type leads to; its first bytes decide most comparisons.
    prefix: u64,
    name: &'a [u8],
    own_name: &'a [u8],
    id: TypeId,
}

impl Key<'_> {
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        (self.rank, self.prefix)
            .cmp(&(other.rank, other.prefix))
            .then_with(|| self.name.cmp(other.name))
            .then_with(|| self.own_name.cmp(other.own_name))
    }
}

/// All types from this id on that may have a definition, in order.
pub(super) fn definitions(btf: &Btf, first: TypeId) -> Result<Vec<TypeId>> {
    let ids = ids_from(btf, first);
    let btf = View::of(btf);
    let mut keys = Vec::new();
    for id in ids {
        keys.extend(key(btf, id)?);
    }
    keys.sort_unstable_by(Key::compare);
    let mut sorted = Vec::with_capacity(keys.len());
    for same in keys.chunk_by(|a, b| a.compare(b).is_eq()) {
        if let [only] = same {
            sorted.push(only.id);
            continue;
        }
        let mut hashed = Vec::with_capacity(same.len());
        for key in same {
            hashed.push((hash(btf, key.id, true)?, key.id));
        }
        hashed.sort_unstable();
        sorted.extend(hashed.into_iter().map(|(_, id)| id));
    }
    Ok(sorted)
}

/// The type behind a reference, but for that of a function.
fn behind(kind: &TypeKind<'_>) -> Option<TypeId> {
    match kind {
        TypeKind::Ptr(to)
        | TypeKind::Typedef(to)
        | TypeKind::Array { elem: to, .. }
        | TypeKind::DeclTag { ty: to, .. } => Some(*to),
        other => other.modified(),
    }
}

/// Calls `visit` for a type and all that is behind it.
fn walk<'a>(btf: View<'a>, first: Type<'a>, mut visit: impl FnMut(&Type<'a>)) -> Result<Type<'a>> {
    let mut ty = first;
    for _ in 0..MAX_CHAIN {
        visit(&ty);
        match behind(&ty.kind) {
            Some(next) => ty = btf.ty(next)?,
            None => return Ok(ty),
        }
    }
    Err(Error::Depth {
        id: first.id,
        limit: MAX_CHAIN,
    })
}

/// The rank of a kind, if a type of it has a name, or one that leads to it.
fn rank(kind: &TypeKind<'_>, named: bool) -> u8 {
    match kind {
        TypeKind::Enum { .. } | TypeKind::Enum64 { .. } => u8::from(named),
        TypeKind::Int { .. } | TypeKind::Float { .. } => 2,
        TypeKind::Struct(_) | TypeKind::Union(_) if named => 3,
        TypeKind::FuncProto { .. } if named => 4,
        _ => LAST,
    }
}

/// By what to sort a type; nothing for what is never defined, or is in any case before its turn.
fn key(btf: View<'_>, id: TypeId) -> Result<Option<Key<'_>>> {
    let ty = btf.ty(id)?;
    if matches!(
        ty.kind,
        TypeKind::Int { .. }
            | TypeKind::Float { .. }
            | TypeKind::Func { .. }
            | TypeKind::Var { .. }
            | TypeKind::Datasec { .. }
            | TypeKind::DeclTag { .. }
            | TypeKind::Unknown { .. }
    ) {
        return Ok(None);
    }
    let end = walk(btf, ty, |_| {})?;
    let is_reference = end.id != id;
    let rank = match is_reference && ty.is_anonymous() {
        false => rank(&end.kind, !ty.is_anonymous() || !end.is_anonymous()),
        // What it leads to has been there by itself.
        true if !end.is_anonymous() && rank(&end.kind, true) < LAST => return Ok(None),
        true => LAST,
    };
    let name_off = match end.kind.enumerators() {
        // An enum without a name goes by its first value.
        Some(values) if !is_reference && end.is_anonymous() => {
            values.get(0).map_or(0, |value| value.name_off)
        }
        _ => end.name_off,
    };
    let name = name::bounded(btf.strings_from(name_off));
    Ok(Some(Key {
        rank,
        prefix: prefix(name),
        name,
        own_name: name::bounded(btf.strings_from(ty.name_off)),
        id,
    }))
}

/// The first eight bytes of a name, ordered as they are.
fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(name) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// A hash of the names that a type is made of, the same as bpftool's.
fn hash(btf: View<'_>, id: TypeId, with_members: bool) -> Result<u64> {
    // A reference's hash is 31 times its own and that of the type behind: all of them add up.
    let mut sum = 0u64;
    let mut own = 0u64;
    walk(btf, btf.ty(id)?, |ty| {
        sum = sum.wrapping_add(own.wrapping_mul(31));
        own = with_name(btf, 0, ty.name_off);
        if let TypeKind::Array { nelems, .. } = ty.kind {
            own = own.wrapping_mul(31).wrapping_add(nelems.into());
        }
    })
    .and_then(|end| {
        if let Some(values) = end.kind.enumerators() {
            own = values
                .iter()
                .fold(own, |hash, value| with_name(btf, hash, value.name_off));
        }
        if let (Some(composite), true) = (end.kind.composite(), with_members) {
            for member in composite.members {
                own = with_name(btf, own, member.name_off)
                    .wrapping_mul(31)
                    .wrapping_add(hash(btf, member.ty, false)?);
            }
        }
        Ok(sum.wrapping_add(own))
    })
}

/// The hash with a name put in; no name changes nothing.
fn with_name(btf: View<'_>, hash: u64, name_off: u32) -> u64 {
    if name_off == 0 {
        return hash;
    }
    let name = name::bounded(btf.strings_from(name_off)).iter();
    let of_name = name.fold(0u64, |hash, byte| {
        hash.wrapping_mul(31)
            .wrapping_add_signed(i64::from(byte.cast_signed()))
    });
    hash.wrapping_mul(31).wrapping_add(of_name)
}

/// All ids from this one on.
pub(super) fn ids_from(btf: &Btf, first: TypeId) -> impl Iterator<Item = TypeId> + use<> {
    (first.0..btf.len()).map(TypeId)
}
