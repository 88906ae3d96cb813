//! New types.

use super::store::BtfBuilder;
use crate::entries::SecInfo;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw::MAX_VLEN;
use crate::shape::Info;
use crate::types::{IntEncoding, Linkage};

/// A member of a struct or union to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewMember<'a> {
    /// Its name; empty for an anonymous one.
    pub name: &'a str,
    /// Its type.
    pub ty: TypeId,
    /// Bits between the start of the struct and the member; 0 in a union.
    pub bit_offset: u32,
    /// Bits of a bit-field; 0 for an ordinary member.
    pub bitfield_size: u8,
}

/// A value of an enum to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEnumerator<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: i128,
}

/// A parameter of a function type to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewParam<'a> {
    /// Its name; may be empty.
    pub name: &'a str,
    /// Its type; void without a name stands for `...`.
    pub ty: TypeId,
}

/// All of these append one type and return its id.
///
/// # Errors
/// [`Error::Build`] for a value that the kind cannot hold or a missing name,
/// [`Error::TooLarge`] past 2^31 types.
impl BtfBuilder {
    fn add(&mut self, new: New<'_>, third: u32, extra: &[u32]) -> Result<TypeId> {
        let New {
            kind,
            name,
            flag,
            vlen,
        } = new;
        let vlen = u32::try_from(vlen).ok().filter(|vlen| *vlen <= MAX_VLEN);
        let vlen = vlen.ok_or_else(|| new.fault("more than 2^24 entries"))?;
        let name_off = self.add_str(name)?;
        self.push(name_off, Info::new(kind, flag, vlen), third, extra)
    }

    /// Adds an integer of 1, 2, 4, 8 or 16 bytes.
    #[doc(alias = "btf__add_int")]
    pub fn add_int(&mut self, name: &str, size: u32, encoding: IntEncoding) -> Result<TypeId> {
        let new = New::named(Kind::Int, name)?;
        if !size.is_power_of_two() || size > 16 {
            return Err(new.fault("a size that is not 1, 2, 4, 8 or 16"));
        }
        if encoding.0 & !7 != 0 {
            return Err(new.fault("an encoding that does not exist"));
        }
        self.add(new, size, &[(u32::from(encoding.0) << 24) | (size * 8)])
    }

    /// Adds a floating point number of 2, 4, 8, 12 or 16 bytes.
    #[doc(alias = "btf__add_float")]
    pub fn add_float(&mut self, name: &str, size: u32) -> Result<TypeId> {
        let new = New::named(Kind::Float, name)?;
        if !matches!(size, 2 | 4 | 8 | 12 | 16) {
            return Err(new.fault("a size that is not 2, 4, 8, 12 or 16"));
        }
        self.add(new, size, &[])
    }

    /// Adds a pointer.
    #[doc(alias = "btf__add_ptr")]
    pub fn add_ptr(&mut self, to: TypeId) -> Result<TypeId> {
        self.add(New::plain(Kind::Ptr), to.0, &[])
    }

    /// Adds `const`.
    #[doc(alias = "btf__add_const")]
    pub fn add_const(&mut self, ty: TypeId) -> Result<TypeId> {
        self.add(New::plain(Kind::Const), ty.0, &[])
    }

    /// Adds `volatile`.
    #[doc(alias = "btf__add_volatile")]
    pub fn add_volatile(&mut self, ty: TypeId) -> Result<TypeId> {
        self.add(New::plain(Kind::Volatile), ty.0, &[])
    }

    /// Adds `restrict`.
    #[doc(alias = "btf__add_restrict")]
    pub fn add_restrict(&mut self, ty: TypeId) -> Result<TypeId> {
        self.add(New::plain(Kind::Restrict), ty.0, &[])
    }

    /// Adds an array.
    #[doc(alias = "btf__add_array")]
    pub fn add_array(&mut self, elem: TypeId, index: TypeId, nelems: u32) -> Result<TypeId> {
        self.add(New::plain(Kind::Array), 0, &[elem.0, index.0, nelems])
    }

    /// Adds a struct of `size` bytes; the name may be empty.
    #[doc(alias = "btf__add_struct")]
    pub fn add_struct(
        &mut self,
        name: &str,
        size: u32,
        members: &[NewMember<'_>],
    ) -> Result<TypeId> {
        self.add_composite(Kind::Struct, name, size, members)
    }

    /// Adds a union of `size` bytes; the name may be empty.
    #[doc(alias = "btf__add_union")]
    pub fn add_union(
        &mut self,
        name: &str,
        size: u32,
        members: &[NewMember<'_>],
    ) -> Result<TypeId> {
        self.add_composite(Kind::Union, name, size, members)
    }

    fn add_composite(
        &mut self,
        kind: Kind,
        name: &str,
        size: u32,
        members: &[NewMember<'_>],
    ) -> Result<TypeId> {
        // One bit-field, or one odd offset, makes all members carry their size.
        let bitfield = |m: &NewMember<'_>| m.bitfield_size != 0 || !m.bit_offset.is_multiple_of(8);
        let flag = members.iter().any(bitfield);
        let new = New {
            flag,
            ..New::optional(kind, name, members.len())
        };
        let mut extra = Vec::with_capacity(members.len().saturating_mul(3));
        for member in members {
            if bitfield(member) && member.bitfield_size == 0 {
                return Err(new.fault("a member that starts inside a byte and is no bit-field"));
            }
            if flag && member.bit_offset > 0x00ff_ffff {
                return Err(new.fault("an offset of 2 MiB or more beside bit-fields"));
            }
            if kind == Kind::Union && member.bit_offset != 0 {
                return Err(new.fault("a union member that is not at offset 0"));
            }
            let name_off = self.add_str(member.name)?;
            let offset = u32::from(member.bitfield_size) << 24 | member.bit_offset;
            extra.extend([name_off, member.ty.0, offset]);
        }
        self.add(new, size, &extra)
    }

    /// Adds an enum of 1, 2, 4 or 8 bytes whose values fit into 32 bits; the name may be empty.
    /// With a negative value all are signed.
    #[doc(alias = "btf__add_enum")]
    pub fn add_enum(
        &mut self,
        name: &str,
        size: u32,
        values: &[NewEnumerator<'_>],
    ) -> Result<TypeId> {
        let flag = values.iter().any(|value| value.value < 0);
        let new = New {
            flag,
            ..New::optional(Kind::Enum, name, values.len())
        };
        new.check_enum_size(size)?;
        let range = if flag {
            i32::MIN.into()..=i32::MAX.into()
        } else {
            0..=u32::MAX.into()
        };
        let mut extra = Vec::with_capacity(values.len().saturating_mul(2));
        for value in values {
            new.check_enumerator(value, &range)?;
            extra.extend([self.add_str(value.name)?, value.value as u32]);
        }
        self.add(new, size, &extra)
    }

    /// Adds an enum of 1, 2, 4 or 8 bytes whose values take up to 64 bits; the name may be empty.
    #[doc(alias = "btf__add_enum64")]
    pub fn add_enum64(
        &mut self,
        name: &str,
        size: u32,
        signed: bool,
        values: &[NewEnumerator<'_>],
    ) -> Result<TypeId> {
        let new = New {
            flag: signed,
            ..New::optional(Kind::Enum64, name, values.len())
        };
        new.check_enum_size(size)?;
        let range = if signed {
            i64::MIN.into()..=i64::MAX.into()
        } else {
            0..=u64::MAX.into()
        };
        let mut extra = Vec::with_capacity(values.len().saturating_mul(3));
        for value in values {
            new.check_enumerator(value, &range)?;
            let bits = value.value as u64;
            extra.extend([self.add_str(value.name)?, bits as u32, (bits >> 32) as u32]);
        }
        self.add(new, size, &extra)
    }

    /// Adds the declaration of a struct or union that is defined elsewhere.
    #[doc(alias = "btf__add_fwd")]
    pub fn add_fwd(&mut self, name: &str, union: bool) -> Result<TypeId> {
        self.add(
            New {
                flag: union,
                ..New::named(Kind::Fwd, name)?
            },
            0,
            &[],
        )
    }

    /// Adds another name of a type.
    #[doc(alias = "btf__add_typedef")]
    pub fn add_typedef(&mut self, name: &str, ty: TypeId) -> Result<TypeId> {
        self.add(New::named(Kind::Typedef, name)?, ty.0, &[])
    }

    /// Adds an attribute of a type.
    #[doc(alias = "btf__add_type_tag")]
    pub fn add_type_tag(&mut self, value: &str, ty: TypeId) -> Result<TypeId> {
        self.add(New::named(Kind::TypeTag, value)?, ty.0, &[])
    }

    /// Adds an attribute of a declaration; `component` is -1 for the whole of it.
    #[doc(alias = "btf__add_decl_tag")]
    pub fn add_decl_tag(&mut self, value: &str, ty: TypeId, component: i32) -> Result<TypeId> {
        let new = New::named(Kind::DeclTag, value)?;
        if component < -1 {
            return Err(new.fault("a component below -1"));
        }
        self.add(new, ty.0, &[component.cast_unsigned()])
    }

    /// Adds a function; `proto` is its type.
    #[doc(alias = "btf__add_func")]
    pub fn add_func(&mut self, name: &str, linkage: Linkage, proto: TypeId) -> Result<TypeId> {
        let new = New::named(Kind::Func, name)?;
        new.check_linkage(linkage)?;
        self.add(
            New {
                vlen: linkage.0 as usize,
                ..new
            },
            proto.0,
            &[],
        )
    }

    /// Adds the type of a function.
    #[doc(alias = "btf__add_func_proto")]
    pub fn add_func_proto(&mut self, ret: TypeId, params: &[NewParam<'_>]) -> Result<TypeId> {
        let mut extra = Vec::with_capacity(params.len().saturating_mul(2));
        for param in params {
            extra.extend([self.add_str(param.name)?, param.ty.0]);
        }
        self.add(
            New::optional(Kind::FuncProto, "", params.len()),
            ret.0,
            &extra,
        )
    }

    /// Adds a variable.
    #[doc(alias = "btf__add_var")]
    pub fn add_var(&mut self, name: &str, linkage: Linkage, ty: TypeId) -> Result<TypeId> {
        let new = New::named(Kind::Var, name)?;
        new.check_linkage(linkage)?;
        self.add(new, ty.0, &[linkage.0])
    }

    /// Adds a section of `size` bytes with its variables.
    #[doc(alias = "btf__add_datasec")]
    pub fn add_datasec(&mut self, name: &str, size: u32, secinfos: &[SecInfo]) -> Result<TypeId> {
        let extra: Vec<u32> = secinfos
            .iter()
            .flat_map(|s| [s.ty.0, s.offset, s.size])
            .collect();
        let new = New {
            vlen: secinfos.len(),
            ..New::named(Kind::Datasec, name)?
        };
        self.add(new, size, &extra)
    }
}

/// What every record starts with.
#[derive(Clone, Copy)]
struct New<'a> {
    kind: Kind,
    name: &'a str,
    flag: bool,
    vlen: usize,
}

impl<'a> New<'a> {
    fn plain(kind: Kind) -> Self {
        Self::optional(kind, "", 0)
    }

    fn optional(kind: Kind, name: &'a str, vlen: usize) -> Self {
        Self {
            kind,
            name,
            flag: false,
            vlen,
        }
    }

    fn named(kind: Kind, name: &'a str) -> Result<Self> {
        let new = Self::optional(kind, name, 0);
        if name.is_empty() {
            Err(new.fault("a missing name"))
        } else {
            Ok(new)
        }
    }

    fn fault(&self, problem: &'static str) -> Error {
        Error::Build {
            kind: self.kind,
            name: self.name.into(),
            problem,
        }
    }

    fn check_linkage(&self, linkage: Linkage) -> Result<()> {
        if linkage.0 > Linkage::EXTERN.0 {
            return Err(self.fault("a linkage that does not exist"));
        }
        Ok(())
    }

    fn check_enum_size(&self, size: u32) -> Result<()> {
        if !matches!(size, 1 | 2 | 4 | 8) {
            return Err(self.fault("a size that is not 1, 2, 4 or 8"));
        }
        Ok(())
    }

    fn check_enumerator(
        &self,
        value: &NewEnumerator<'_>,
        range: &std::ops::RangeInclusive<i128>,
    ) -> Result<()> {
        if value.name.is_empty() {
            return Err(self.fault("a value without a name"));
        }
        if !range.contains(&value.value) {
            return Err(self.fault("a value out of range"));
        }
        Ok(())
    }
}
