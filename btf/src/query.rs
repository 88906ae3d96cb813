//! What follows from a type: what it is behind typedefs and modifiers, its size, its alignment.

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::types::TypeKind;
use crate::view::View;

/// Steps along a chain of references before it counts as a loop; libbpf's own limit.
pub(crate) const MAX_DEPTH: u32 = 32;
/// The same for chains of typedefs and modifiers, and for alignment, where libbpf has none.
const MAX_CHAIN: u32 = 256;
/// Steps of a walk that branches, over all branches.
pub(crate) const MAX_STEPS: u32 = 1 << 20;

/// Counts the steps of a walk over nested types, since few types can have many paths.
#[derive(Debug)]
pub(crate) struct Budget {
    root: TypeId,
    left: u32,
}

impl Budget {
    pub(crate) const fn new(root: TypeId) -> Self {
        Self {
            root,
            left: MAX_STEPS,
        }
    }

    pub(crate) fn spend(&mut self, steps: usize) -> Result<()> {
        let limit = MAX_STEPS;
        self.left = u32::try_from(steps)
            .ok()
            .and_then(|steps| self.left.checked_sub(steps))
            .ok_or(Error::TooComplex {
                id: self.root,
                limit,
            })?;
        Ok(())
    }
}

/// The names that `long` and `unsigned long` go by; what they measure is the size of a pointer.
const LONG_NAMES: [&str; 11] = [
    "long",
    "long int",
    "int long",
    "unsigned long",
    "long unsigned",
    "unsigned long int",
    "unsigned int long",
    "long unsigned int",
    "long int unsigned",
    "int unsigned long",
    "int long unsigned",
];

impl Btf {
    /// The end of a chain of types.
    pub(crate) fn skip(
        &self,
        id: TypeId,
        step: impl Fn(&TypeKind<'_>) -> Option<TypeId>,
    ) -> Result<TypeId> {
        View::of(self).skip(id, step)
    }

    /// The type behind `const`, `volatile`, `restrict` and type tags.
    ///
    /// # Errors
    /// [`Error::NoType`], or [`Error::Depth`] for a loop.
    pub fn skip_mods(&self, id: TypeId) -> Result<TypeId> {
        self.skip(id, |kind| kind.modified())
    }

    /// The type behind typedefs, `const`, `volatile`, `restrict` and type tags.
    ///
    /// # Errors
    /// [`Error::NoType`], or [`Error::Depth`] for a loop.
    pub fn skip_mods_and_typedefs(&self, id: TypeId) -> Result<TypeId> {
        View::of(self).skip_mods_and_typedefs(id)
    }

    /// Bytes of a pointer: 4 or 8.
    ///
    /// What was set with [`with_pointer_size`](Self::with_pointer_size), or else what the base says,
    /// or else the size of `long`, or else the host's.
    #[must_use]
    #[doc(alias = "btf__pointer_size")]
    pub fn pointer_size(&self) -> u32 {
        *self.pointer_size.get_or_init(|| match &self.base {
            Some(base) => base.pointer_size(),
            None => self.size_of_long().unwrap_or(size_of::<usize>() as u32),
        })
    }

    fn size_of_long(&self) -> Option<u32> {
        self.own_of(Kind::Int).find_map(|ty| match ty.kind {
            TypeKind::Int {
                size: size @ (4 | 8),
                ..
            } => LONG_NAMES
                .contains(&self.name_at(ty.name_off).ok()?)
                .then_some(size),
            _ => None,
        })
    }

    /// The same BTF with another size of pointers; BPF objects have 8 whatever the host.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for anything but 4 and 8 bytes.
    #[doc(alias = "btf__set_pointer_size")]
    pub fn with_pointer_size(mut self, bytes: u32) -> Result<Self> {
        if !matches!(bytes, 4 | 8) {
            return Err(Error::Unsupported {
                what: "pointers of other than 4 or 8 bytes",
            });
        }
        self.pointer_size = bytes.into();
        Ok(self)
    }

    /// Bytes of a value of this type.
    ///
    /// # Errors
    /// [`Error::NoSize`] for void, functions and forward declarations, [`Error::SizeOverflow`] for
    /// arrays of more than 4 GiB, [`Error::Depth`] for more than 32 references.
    #[doc(alias = "btf__resolve_size")]
    pub fn resolve_size(&self, id: TypeId) -> Result<u32> {
        View::of(self).resolve_size(id)
    }

    /// The alignment of a value of this type in bytes; 1 for a packed struct.
    ///
    /// # Errors
    /// [`Error::NoAlignment`] for what has no value, [`Error::Depth`] or [`Error::TooComplex`] for
    /// nesting beyond reason.
    #[doc(alias = "btf__align_of")]
    pub fn align_of(&self, id: TypeId) -> Result<u32> {
        self.align_within(id, MAX_CHAIN, &mut Budget::new(id))
    }

    fn align_within(&self, id: TypeId, depth: u32, budget: &mut Budget) -> Result<u32> {
        budget.spend(1)?;
        let depth = depth.checked_sub(1).ok_or(Error::Depth {
            id,
            limit: MAX_CHAIN,
        })?;
        let ty = self.ty(id)?;
        match ty.kind {
            TypeKind::Int { size, .. }
            | TypeKind::Enum { size, .. }
            | TypeKind::Enum64 { size, .. }
            | TypeKind::Float { size } => Ok(size.min(self.pointer_size())),
            TypeKind::Ptr(_) => Ok(self.pointer_size()),
            TypeKind::Typedef(next)
            | TypeKind::Volatile(next)
            | TypeKind::Const(next)
            | TypeKind::Restrict(next)
            | TypeKind::TypeTag(next)
            | TypeKind::Array { elem: next, .. } => self.align_within(next, depth, budget),
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                let mut align = 1;
                for member in composite.members {
                    let own = self.align_within(member.ty, depth, budget)?;
                    // A member out of line with its own alignment is the mark of a packed struct.
                    let bits = u64::from(own) * 8;
                    let in_line = u64::from(member.bit_offset).is_multiple_of(bits);
                    if member.bitfield_size == 0 && !in_line {
                        return Ok(1);
                    }
                    align = align.max(own);
                }
                Ok(if composite.size.is_multiple_of(align) {
                    align
                } else {
                    1
                })
            }
            _ => Err(Error::NoAlignment {
                id,
                kind: ty.kind.name(),
            }),
        }
    }
}

impl View<'_> {
    fn skip(&self, id: TypeId, step: impl Fn(&TypeKind<'_>) -> Option<TypeId>) -> Result<TypeId> {
        let mut at = id;
        for _ in 0..MAX_CHAIN {
            match step(&self.ty(at)?.kind) {
                Some(next) => at = next,
                None => return Ok(at),
            }
        }
        Err(Error::Depth {
            id,
            limit: MAX_CHAIN,
        })
    }

    /// The same as [`Btf::skip_mods_and_typedefs`].
    pub(crate) fn skip_mods_and_typedefs(&self, id: TypeId) -> Result<TypeId> {
        self.skip(id, |kind| match kind {
            TypeKind::Typedef(ty) => Some(*ty),
            other => other.modified(),
        })
    }

    /// The same as [`Btf::resolve_size`].
    pub(crate) fn resolve_size(&self, id: TypeId) -> Result<u32> {
        let mut at = id;
        let mut count: u32 = 1;
        for _ in 0..MAX_DEPTH {
            let ty = self.ty(at)?;
            let size = match ty.kind {
                TypeKind::Int { size, .. }
                | TypeKind::Enum { size, .. }
                | TypeKind::Enum64 { size, .. }
                | TypeKind::Datasec { size, .. }
                | TypeKind::Float { size } => size,
                TypeKind::Struct(composite) | TypeKind::Union(composite) => composite.size,
                TypeKind::Ptr(_) => self.pointer_size(),
                TypeKind::Typedef(next)
                | TypeKind::Volatile(next)
                | TypeKind::Const(next)
                | TypeKind::Restrict(next)
                | TypeKind::TypeTag(next)
                | TypeKind::Var { ty: next, .. }
                | TypeKind::DeclTag { ty: next, .. } => {
                    at = next;
                    continue;
                }
                TypeKind::Array { elem, nelems, .. } => {
                    count = count
                        .checked_mul(nelems)
                        .ok_or(Error::SizeOverflow { id })?;
                    at = elem;
                    continue;
                }
                TypeKind::Void
                | TypeKind::Fwd { .. }
                | TypeKind::Func { .. }
                | TypeKind::FuncProto { .. }
                | TypeKind::Unknown { .. } => {
                    return Err(Error::NoSize {
                        id: at,
                        kind: ty.kind.name(),
                    });
                }
            };
            return size.checked_mul(count).ok_or(Error::SizeOverflow { id });
        }
        Err(Error::Depth {
            id,
            limit: MAX_DEPTH,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{BtfBuilder, NewMember};
    use crate::types::IntEncoding;

    fn member(ty: TypeId, bytes: u32) -> NewMember<'static> {
        NewMember {
            name: "m",
            ty,
            bit_offset: bytes * 8,
            bitfield_size: 0,
        }
    }

    #[test]
    fn loops_end_in_an_error() {
        let mut btf = BtfBuilder::new();
        let one = btf.add_typedef("one", TypeId(2)).unwrap();
        let two = btf.add_const(one).unwrap();
        let array = btf.add_array(TypeId(3), TypeId(3), 1).unwrap();
        let inside = btf.add_struct("s", 8, &[member(TypeId(4), 0)]).unwrap();
        let btf = btf.finish().unwrap();
        for id in [one, two, array] {
            assert!(
                matches!(btf.resolve_size(id), Err(Error::Depth { .. })),
                "{id}"
            );
        }
        assert!(matches!(
            btf.skip_mods_and_typedefs(one),
            Err(Error::Depth { .. })
        ));
        assert_eq!(btf.skip_mods(two).unwrap(), one);
        assert!(matches!(btf.align_of(inside), Err(Error::Depth { .. })));
    }

    #[test]
    fn wide_nesting_ends_in_an_error() {
        let mut btf = BtfBuilder::new();
        let mut inner = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        for _ in 0..30 {
            inner = btf
                .add_struct("", 8, &[member(inner, 0), member(inner, 4)])
                .unwrap();
        }
        let btf = btf.finish().unwrap();
        assert!(matches!(btf.align_of(inner), Err(Error::TooComplex { .. })));
    }

    #[test]
    fn sizes_multiply_and_overflow() {
        let mut btf = BtfBuilder::new();
        let long = btf
            .add_int("long unsigned int", 8, IntEncoding::UNSIGNED)
            .unwrap();
        let row = btf.add_array(long, long, 1 << 16).unwrap();
        let rows = btf.add_array(row, long, 1 << 12).unwrap();
        let too_many = btf.add_array(row, long, 1 << 13).unwrap();
        let none = btf.add_array(row, long, 0).unwrap();
        let fwd = btf.add_fwd("f", false).unwrap();
        let of_fwd = btf.add_array(fwd, long, 1).unwrap();
        let btf = btf.finish().unwrap();
        assert_eq!(btf.resolve_size(rows).unwrap(), 1 << 31);
        assert!(matches!(
            btf.resolve_size(too_many),
            Err(Error::SizeOverflow { .. })
        ));
        assert_eq!(btf.resolve_size(none).unwrap(), 0);
        assert!(matches!(
            btf.resolve_size(of_fwd),
            Err(Error::NoSize { kind: "fwd", .. })
        ));
        assert!(matches!(
            btf.resolve_size(TypeId::VOID),
            Err(Error::NoSize { .. })
        ));
    }

    #[test]
    fn pointer_size_follows_long_unless_set() {
        for size in [4, 8] {
            let mut btf = BtfBuilder::new();
            btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
            let long = btf
                .add_int("unsigned long", size, IntEncoding::UNSIGNED)
                .unwrap();
            let ptr = btf.add_ptr(long).unwrap();
            let found = btf.finish().unwrap();
            assert_eq!(
                (found.pointer_size(), found.resolve_size(ptr).unwrap()),
                (size, size)
            );
            let set = btf.pointer_size(12 - size).finish().unwrap();
            assert_eq!(set.align_of(ptr).unwrap(), 12 - size);
        }
        let btf = BtfBuilder::new().finish().unwrap();
        assert_eq!(btf.pointer_size() as usize, size_of::<usize>());
        assert!(btf.with_pointer_size(2).is_err());
    }

    #[test]
    fn packed_structs_have_alignment_one() {
        let mut btf = BtfBuilder::new().pointer_size(8);
        let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        let wide = btf.add_int("__int128", 16, IntEncoding::SIGNED).unwrap();
        let plain = btf
            .add_struct("plain", 8, &[member(int, 0), member(int, 4)])
            .unwrap();
        let offset = btf
            .add_struct("offset", 8, &[member(int, 0), member(int, 1)])
            .unwrap();
        let size = btf.add_struct("size", 6, &[member(int, 0)]).unwrap();
        let nested = btf.add_array(plain, int, 3).unwrap();
        let nested = btf.add_typedef("nested", nested).unwrap();
        let fwd = btf.add_fwd("fwd", false).unwrap();
        let btf = btf.finish().unwrap();
        let align = |id| btf.align_of(id).unwrap();
        assert_eq!(
            [plain, offset, size, nested, wide].map(align),
            [4, 1, 1, 4, 8]
        );
        assert!(matches!(btf.align_of(fwd), Err(Error::NoAlignment { .. })));
    }
}
