//! The number that a relocation asks for, of one access in one BTF.

use super::kind::{Class, RelocationKind};
use super::spec::Spec;
use crate::btf::Btf;
use crate::entries::Member;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::query::MAX_DEPTH;
use crate::raw::Endian;
use crate::types::{IntEncoding, TypeKind};

/// What becomes of the width of a load or store whose offset is relocated.
///
/// It only matters to instructions that access memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessSize {
    /// The width stays what it is.
    #[default]
    Keep,
    /// The instruction must be `from` bytes wide and becomes `to` bytes wide.
    Change {
        /// Bytes of the field in the object's BTF.
        from: u32,
        /// Bytes of the field in the target's BTF.
        to: u32,
    },
    /// The field has another width, and its type does not allow to change that of the instruction,
    /// which must be poisoned (`fail_memsz_adjust`).
    Mismatch {
        /// Bytes of the field in the object's BTF; 0 for a bit-field.
        from: u32,
        /// Bytes of the field in the target's BTF; 0 for a bit-field.
        to: u32,
    },
}

/// The number, and what comes with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) value: u64,
    /// Whether the instruction must hold this number if it is the local one.
    pub(super) validate: bool,
    /// The field that is accessed, if the relocation is about its offset.
    field: Option<Field>,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    size: u32,
    ty: TypeId,
}

impl Value {
    const fn plain(value: u64) -> Self {
        Self {
            value,
            validate: true,
            field: None,
        }
    }

    /// The number for a target that has nothing of the kind, unless that cannot be.
    pub(super) const fn missing(kind: RelocationKind) -> Option<Self> {
        match (kind, kind.class()) {
            (RelocationKind::FieldExists | RelocationKind::EnumvalExists, _) | (_, Class::Type) => {
                Some(Self::plain(0))
            }
            _ => None,
        }
    }

    /// The number for an access that exists in `btf`.
    pub(super) fn of(btf: &Btf, spec: &Spec) -> Result<Self> {
        use RelocationKind::{EnumvalExists, FieldExists, TypeExists, TypeMatches};
        match spec.kind {
            FieldExists | EnumvalExists | TypeExists | TypeMatches => Ok(Self::plain(1)),
            // Ids change when objects are linked, and the instruction is not updated then.
            RelocationKind::TypeIdLocal | RelocationKind::TypeIdTarget => Ok(Self {
                validate: false,
                ..Self::plain(spec.root.0.into())
            }),
            RelocationKind::TypeSize => Ok(Self::plain(btf.resolve_size(spec.root)?.into())),
            RelocationKind::EnumvalValue => Self::enumerator(btf, spec),
            _ => Self::field(btf, spec),
        }
    }

    fn enumerator(btf: &Btf, spec: &Spec) -> Result<Self> {
        let fault = || refuse(btf, spec, "the enumerator is gone");
        let step = spec.accessors.first().ok_or_else(fault)?;
        let kind = btf.ty(step.ty)?.kind;
        let values = kind.enumerators().ok_or_else(fault)?;
        let value = values.get(step.index as usize).ok_or_else(fault)?.value;
        Ok(Self::plain(match kind {
            // 32 bits are sign-extended whatever the enum says of itself, as libbpf does.
            TypeKind::Enum { .. } => i64::from(value as i32).cast_unsigned(),
            _ => value as u64,
        }))
    }

    fn field(btf: &Btf, spec: &Spec) -> Result<Self> {
        let fault = |problem| refuse(btf, spec, problem);
        let last = spec
            .accessors
            .last()
            .ok_or_else(|| fault("it has no steps"))?;
        if last.name_off.is_none() {
            let value = match spec.kind {
                RelocationKind::FieldByteOffset => spec.bit_offset / 8,
                RelocationKind::FieldByteSize => btf.resolve_size(last.ty)?.into(),
                _ => return Err(fault("this cannot be asked of an array element")),
            };
            return Self::plain(value).accessing(btf, spec, last.ty);
        }
        let composite = btf.ty(last.ty)?.kind.composite();
        let member = composite.and_then(|all| all.members().get(last.index as usize));
        let member = member.ok_or_else(|| fault("the member is gone"))?;
        let ty = btf.skip_mods_and_typedefs(member.ty)?;
        let bits = Bits::of(btf, spec, member, ty)?;
        let validate = member.bitfield_size == 0;
        let value = |value| Self {
            validate,
            ..Self::plain(value)
        };
        Ok(match spec.kind {
            RelocationKind::FieldByteOffset => {
                let value = value(bits.storage_offset);
                if validate {
                    value.accessing(btf, spec, ty)?
                } else {
                    value
                }
            }
            RelocationKind::FieldByteSize => value(bits.storage_size.into()),
            // The compiler and we never disagree about signs and widths, even of bit-fields.
            RelocationKind::FieldSigned => Self::plain(match btf.ty(ty)?.kind {
                TypeKind::Enum { signed, .. } | TypeKind::Enum64 { signed, .. } => signed.into(),
                TypeKind::Int { encoding, .. } => encoding.is_signed().into(),
                _ => 0,
            }),
            RelocationKind::FieldRshift => Self::plain(bits.right_shift()),
            RelocationKind::FieldLshift => value(bits.left_shift(btf.endian())),
            _ => return Err(fault("this cannot be asked of a field")),
        })
    }

    /// Remembers the field, if the relocation is about where to access it.
    fn accessing(self, btf: &Btf, spec: &Spec, ty: TypeId) -> Result<Self> {
        if spec.kind != RelocationKind::FieldByteOffset {
            return Ok(self);
        }
        // Of arrays an instruction accesses an element.
        let mut elem = ty;
        for _ in 0..MAX_DEPTH {
            elem = btf.skip_mods_and_typedefs(elem)?;
            match btf.ty(elem)?.kind {
                TypeKind::Array { elem: next, .. } => elem = next,
                _ => {
                    let size = btf.resolve_size(elem)?;
                    return Ok(Self {
                        field: Some(Field { size, ty }),
                        ..self
                    });
                }
            }
        }
        Err(Error::Depth {
            id: ty,
            limit: MAX_DEPTH,
        })
    }

    /// What becomes of an instruction that accesses this field when the target has that one.
    pub(super) fn access_size(&self, local: &Btf, to: &Self, target: &Btf) -> Result<AccessSize> {
        let size = |field: Option<Field>| field.map_or(0, |field| field.size);
        let (from_size, to_size) = (size(self.field), size(to.field));
        if from_size == to_size {
            return Ok(AccessSize::Keep);
        }
        let kind = |btf: &Btf, field: Option<Field>| -> Result<_> {
            let ty = btf.ty(field.map_or(TypeId::VOID, |field| field.ty))?;
            Ok(match ty.kind {
                TypeKind::Ptr(_) => Some(None),
                TypeKind::Int { encoding, .. } => Some(Some(encoding)),
                _ => None,
            })
        };
        // Only what is zero-extended keeps its value: pointers, and integers that are not signed.
        let zero_extended = match (kind(local, self.field)?, kind(target, to.field)?) {
            (Some(None), Some(None)) => true,
            (Some(Some(ours)), Some(Some(theirs))) => {
                ours != IntEncoding::SIGNED && theirs != IntEncoding::SIGNED
            }
            _ => false,
        };
        Ok(if zero_extended {
            AccessSize::Change {
                from: from_size,
                to: to_size,
            }
        } else {
            AccessSize::Mismatch {
                from: from_size,
                to: to_size,
            }
        })
    }
}

/// Where the bits of a field are, and the storage that is loaded to get at them.
struct Bits {
    offset: u64,
    size: u32,
    storage_offset: u64,
    storage_size: u32,
}

impl Bits {
    fn of(btf: &Btf, spec: &Spec, member: Member, ty: TypeId) -> Result<Self> {
        let offset = spec.bit_offset;
        if member.bitfield_size == 0 {
            let storage_size = btf.resolve_size(ty)?;
            let size = storage_size.wrapping_mul(8);
            return Ok(Self {
                offset,
                size,
                storage_offset: offset / 8,
                storage_size,
            });
        }
        let size = u32::from(member.bitfield_size);
        let mut storage_size = btf.resolve_size(ty)?;
        loop {
            // The smallest naturally aligned storage that has all bits of it.
            let bytes = u64::from(storage_size);
            let Some(units) = (offset / 8).checked_div(bytes) else {
                return Err(refuse(btf, spec, "the bit-field's type has no size"));
            };
            let storage_offset = units * bytes;
            if offset + u64::from(size) - storage_offset * 8 <= bytes * 8 {
                return Ok(Self {
                    offset,
                    size,
                    storage_offset,
                    storage_size,
                });
            }
            if storage_size >= 8 {
                return Err(refuse(
                    btf,
                    spec,
                    "no load of 8 bytes has all bits of the bit-field",
                ));
            }
            storage_size *= 2;
        }
    }

    /// Bits between the start of the storage and the field.
    const fn within(&self) -> u32 {
        (self.offset - self.storage_offset * 8) as u32
    }

    fn left_shift(&self, endian: Endian) -> u64 {
        let shift = match endian {
            Endian::Little => 64u32.wrapping_sub(self.within().wrapping_add(self.size)),
            Endian::Big => 8u32
                .wrapping_sub(self.storage_size)
                .wrapping_mul(8)
                .wrapping_add(self.within()),
        };
        shift.into()
    }

    fn right_shift(&self) -> u64 {
        64u32.wrapping_sub(self.size).into()
    }
}

fn refuse(btf: &Btf, spec: &Spec, problem: &'static str) -> Error {
    Error::Relocation {
        spec: spec.text(btf).into(),
        problem,
    }
}
