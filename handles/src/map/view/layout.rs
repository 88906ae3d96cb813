//! Rust types against the BTF of a map, field by field.

use purebpf_btf::{Btf, TypeId, TypeKind};

use crate::{BtfId, BtfObject, Error, Map};

/// A field of a Rust type, as [`layout!`](crate::layout) describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, which is that of the member in C.
    pub name: &'static str,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
}

/// A type that says which fields it has, so that they can be compared with those of a map.
pub trait Layout {
    /// The fields; none for a number or an array, of which the size is all that is compared.
    const FIELDS: &'static [Field];
}

/// Bytes of a field, for [`layout!`](crate::layout).
#[doc(hidden)]
#[must_use]
pub const fn field_size<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Says which fields a struct has, for [`Map::check_layout`]. Those that are only there to fill gaps
/// are left out.
///
/// ```
/// #[repr(C)]
/// struct Counts {
///     hits: u32,
///     _gap: u32,
///     bytes: u64,
/// }
///
/// purebpf_handles::layout!(Counts { hits, bytes });
/// ```
#[macro_export]
macro_rules! layout {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::map::view::Layout for $type {
            const FIELDS: &'static [$crate::map::view::Field] = &[$($crate::map::view::Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($type, $field),
                size: $crate::map::view::field_size(|it: &$type| &it.$field),
            }),*];
        }
    };
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Layout for $type {
            const FIELDS: &'static [Field] = &[];
        }
    )*};
}

plain!(
    u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, usize, isize, f32, f64
);

impl<T, const N: usize> Layout for [T; N] {
    const FIELDS: &'static [Field] = &[];
}

impl Map {
    /// Compares the fields of `K` and `V` with those of the map's BTF, if it has some.
    ///
    /// # Errors
    /// The first field that is elsewhere, of another size, or not there, on either side; and what the
    /// kernel says: to open BTF takes `CAP_SYS_ADMIN`.
    pub fn check_layout<K: Layout, V: Layout>(&self) -> Result<(), Error> {
        let info = self.info()?;
        if info.btf_id == 0 {
            return Ok(());
        }
        let bytes = BtfObject::from_id(BtfId(info.btf_id))?.data()?;
        let btf = Btf::parse(bytes).map_err(Error::btf(self))?;
        for (part, ty, fields) in [
            ("a field of the key", info.btf_key_type_id, K::FIELDS),
            ("a field of the value", info.btf_value_type_id, V::FIELDS),
        ] {
            if ty == 0 || fields.is_empty() {
                continue;
            }
            let found = members(&btf, TypeId(ty)).map_err(Error::btf(self))?;
            if let Some((found, expected)) = difference(&found, fields) {
                return Err(Error::mismatch(self, part, found, expected));
            }
        }
        Ok(())
    }
}

/// Name, offset and size of each member; nothing for what is no struct.
fn members(btf: &Btf, ty: TypeId) -> Result<Vec<(&str, usize, usize)>, purebpf_btf::Error> {
    let ty = btf.skip_mods_and_typedefs(ty)?;
    let (TypeKind::Struct(composite) | TypeKind::Union(composite)) = btf.ty(ty)?.kind else {
        return Ok(Vec::new());
    };
    let member = |member: purebpf_btf::Member| {
        let offset = member.bit_offset as usize / 8;
        let size = btf.resolve_size(member.ty)? as usize;
        Ok((btf.name_at(member.name_off)?, offset, size))
    };
    composite.members().into_iter().map(member).collect()
}

/// The first difference: what the map has, and what was expected.
fn difference(found: &[(&str, usize, usize)], expected: &[Field]) -> Option<(String, String)> {
    let said = |name: &str, offset, size| format!("`{name}`, {size} bytes at {offset}");
    for field in expected {
        let member = found.iter().find(|(name, ..)| *name == field.name);
        let wanted = said(field.name, field.offset, field.size);
        match member {
            Some((_, offset, size)) if (*offset, *size) == (field.offset, field.size) => {}
            Some((name, offset, size)) => return Some((said(name, *offset, *size), wanted)),
            None => return Some((format!("no `{}`", field.name), wanted)),
        }
    }
    let is_known = |name: &str| expected.iter().any(|field| field.name == name);
    let (name, offset, size) = found.iter().find(|(name, ..)| !is_known(name))?;
    Some((said(name, *offset, *size), format!("no `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct Counts {
        hits: u32,
        gap: u32,
        bytes: u64,
    }

    layout!(Counts { hits, bytes });

    #[test]
    fn the_first_difference_is_named() {
        let fields = Counts::FIELDS;
        let same = [("hits", 0, 4), ("bytes", 8, 8)];
        assert_eq!(difference(&same, fields), None);
        let text = |found: &[_]| {
            let (found, expected) = difference(found, fields).unwrap();
            format!("{found} / {expected}")
        };
        assert_eq!(
            text(&[("hits", 0, 4), ("bytes", 4, 4)]),
            "`bytes`, 4 bytes at 4 / `bytes`, 8 bytes at 8"
        );
        assert_eq!(text(&same[..1]), "no `bytes` / `bytes`, 8 bytes at 8");
        assert_eq!(
            text(&[("hits", 0, 4), ("bytes", 8, 8), ("more", 16, 1)]),
            "`more`, 1 bytes at 16 / no `more`"
        );
        let counts = Counts {
            hits: 1,
            gap: 2,
            bytes: 3,
        };
        assert_eq!(u64::from(counts.hits + counts.gap), counts.bytes);
    }
}
