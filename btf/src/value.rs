//! Bytes of a type as a tree of values: map elements, global variables, records of a ring buffer.
//!
//! Whatever type and bytes are given, the tree stays within a small multiple of the bytes: where it
//! would not, or where the bytes end early, it says [`Value::Truncated`].

use crate::btf::Btf;
use crate::entries::Enumerators;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::name;
use crate::query::MAX_DEPTH;
use crate::raw::Endian;
use crate::types::{Composite, IntEncoding, Type, TypeKind};

pub(crate) mod bits;
mod json;
#[cfg(feature = "serde")]
mod serialize;

use bits::{read_bits, sign_extend};

/// A value of some type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A signed integer of up to 128 bits.
    Int(i128),
    /// An unsigned integer of up to 128 bits.
    Uint(u128),
    /// A boolean.
    Bool(bool),
    /// A character that is not part of a string.
    Char(u8),
    /// An array of characters, up to its first NUL.
    String(Vec<u8>),
    /// A value of an enum.
    Enum {
        /// The enumerator with this value, if there is one.
        name: Option<String>,
        /// The value.
        value: i128,
    },
    /// A floating point number of 4 or 8 bytes.
    Float(f64),
    /// A pointer.
    Pointer(u64),
    /// An array.
    Array(Vec<Self>),
    /// A struct: its members in order; the name of an anonymous one is empty.
    Struct(Vec<(String, Self)>),
    /// A union: all its members, each read from the same bytes.
    Union(Vec<(String, Self)>),
    /// The variables of a section.
    Datasec(Vec<(String, Self)>),
    /// Bytes that the type does not explain, such as a floating point number of 16 bytes.
    Bytes(Vec<u8>),
    /// The bytes end before the value does, or the value has too many parts to list.
    Truncated,
}

/// Reads bytes, in the host's byte order, as a value of a type; see [`decode_as`].
///
/// # Errors
/// As [`decode_as`].
#[doc(alias = "btf_dump__dump_type_data")]
pub fn decode(btf: &Btf, id: TypeId, bytes: &[u8]) -> Result<Value> {
    decode_as(btf, id, bytes, Endian::HOST)
}

/// Reads bytes of a byte order, whatever the order of the BTF was, as a value of a type.
///
/// Bit-fields are numbers, enumerators have names, and an array of `char` is a string up to its
/// first NUL. A flexible array at the end of a struct takes all bytes that are left.
///
/// # Errors
/// [`Error::NoType`], [`Error::NoSize`] for what has no value, such as a function, [`Error::Depth`]
/// for nesting of more than 32 levels.
pub fn decode_as(btf: &Btf, id: TypeId, bytes: &[u8], endian: Endian) -> Result<Value> {
    // Members of a union share their bytes, so there may be more parts than bytes.
    let parts = bytes.len().saturating_mul(2).saturating_add(1 << 16);
    Decoder {
        btf,
        endian,
        parts,
        comparisons: bytes.len().saturating_mul(64).saturating_add(1 << 20),
    }
    .decode(id, bytes, MAX_DEPTH)
}

struct Decoder<'a> {
    btf: &'a Btf,
    endian: Endian,
    /// Parts of the tree that may still be made; text counts by its length.
    parts: usize,
    /// Enumerators that may still be looked at; behind that, values stay without names.
    comparisons: usize,
}

impl Decoder<'_> {
    /// Takes note of a part of the tree; there is none left to be made if this fails.
    fn charge(&mut self, text: usize) -> Option<()> {
        self.parts = self.parts.checked_sub(1 + text / 16)?;
        Some(())
    }

    fn decode(&mut self, id: TypeId, bytes: &[u8], depth: u32) -> Result<Value> {
        let depth = depth.checked_sub(1).ok_or(Error::Depth {
            id,
            limit: MAX_DEPTH,
        })?;
        let id = self.btf.skip_mods_and_typedefs(id)?;
        if self.charge(0).is_none() {
            return Ok(Value::Truncated);
        }
        let ty = self.btf.ty(id)?;
        match ty.kind {
            TypeKind::Struct(composite) => {
                Ok(Value::Struct(self.members(composite, bytes, depth)?))
            }
            TypeKind::Union(composite) => Ok(Value::Union(self.members(composite, bytes, depth)?)),
            TypeKind::Array { elem, nelems, .. } => self.array(elem, nelems, bytes, depth),
            TypeKind::Var { ty, .. } => self.decode(ty, bytes, depth),
            TypeKind::Datasec { secinfos, .. } => Ok(Value::Datasec(self.named(
                secinfos.iter(),
                |this, info| {
                    let part = bytes.get(info.offset as usize..).unwrap_or_default();
                    let part = part.get(..info.size as usize).unwrap_or(part);
                    Ok((
                        this.btf.ty(info.ty)?.name_off,
                        this.decode(info.ty, part, depth)?,
                    ))
                },
            )?)),
            _ => {
                let size = self.btf.resolve_size(id)? as usize;
                let Some(bytes) = bytes.get(..size) else {
                    return Ok(Value::Truncated);
                };
                Ok(self.scalar(&ty, bytes))
            }
        }
    }

    /// Values with names, as many as may be made.
    fn named<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut decode: impl FnMut(&mut Self, T) -> Result<(u32, Value)>,
    ) -> Result<Vec<(String, Value)>> {
        let mut values = Vec::new();
        for item in items {
            let (name_off, value) = decode(self, item)?;
            let name = self.btf.str_at(name_off)?;
            if self.charge(name.len()).is_none() {
                values.push((String::new(), Value::Truncated));
                break;
            }
            values.push((String::from_utf8_lossy(name).into_owned(), value));
        }
        Ok(values)
    }

    fn members(
        &mut self,
        composite: Composite<'_>,
        bytes: &[u8],
        depth: u32,
    ) -> Result<Vec<(String, Value)>> {
        self.named(composite.members().iter(), |this, member| {
            let ty = this.btf.ty(this.btf.skip_mods_and_typedefs(member.ty)?)?;
            let value = match (member.bitfield_size, ty.kind) {
                // Very old BTF has integers that are some bits of their storage.
                (
                    0,
                    TypeKind::Int {
                        size, bits, offset, ..
                    },
                ) if size.saturating_mul(8) != u32::from(bits) => {
                    let start = member.bit_offset.saturating_add(offset.into());
                    this.bitfield(&ty, bytes, start, bits)
                }
                // One between other members only marks a place.
                (0, TypeKind::Array { nelems: 0, .. })
                    if !is_at_end(member.bit_offset as usize / 8, composite.size as usize) =>
                {
                    this.decode(member.ty, &[], depth)?
                }
                (0, _) => match bytes.get(member.bit_offset as usize / 8..) {
                    Some(bytes) => this.decode(member.ty, bytes, depth)?,
                    None => Value::Truncated,
                },
                (bits, _) => this.bitfield(&ty, bytes, member.bit_offset, bits),
            };
            Ok((member.name_off, value))
        })
    }

    fn bitfield(&mut self, ty: &Type<'_>, bytes: &[u8], offset: u32, size: u8) -> Value {
        let size = u32::from(size);
        let Some(bits) = read_bits(bytes, offset, size, self.endian) else {
            return Value::Truncated;
        };
        match ty.kind {
            TypeKind::Int { encoding, .. } => integer(encoding, bits, size),
            TypeKind::Enum { signed, values, .. } | TypeKind::Enum64 { signed, values, .. } => {
                self.enumerator(signed, values, bits, size)
            }
            _ => Value::Uint(bits),
        }
    }

    fn array(&mut self, elem: TypeId, nelems: u32, bytes: &[u8], depth: u32) -> Result<Value> {
        let elem = self.btf.skip_mods_and_typedefs(elem)?;
        let size = self.btf.resolve_size(elem)? as usize;
        // Without a length of its own an array is flexible and takes what is there.
        let count = match (nelems, bytes.len().checked_div(size)) {
            (0, Some(rest)) => rest,
            _ => nelems as usize,
        };
        if is_char(self.btf, &self.btf.ty(elem)?) {
            let text = bytes.get(..count).unwrap_or(bytes);
            let end = text.iter().position(|byte| *byte == 0);
            let Some(text) = end
                .or((text.len() == count).then_some(count))
                .and_then(|end| text.get(..end))
            else {
                return Ok(Value::Truncated);
            };
            return Ok(match self.charge(text.len()) {
                Some(()) => Value::String(text.to_vec()),
                None => Value::Truncated,
            });
        }
        let mut values = Vec::new();
        for index in 0..count {
            let value = match index.checked_mul(size).and_then(|start| bytes.get(start..)) {
                Some(bytes) => self.decode(elem, bytes, depth)?,
                None => Value::Truncated,
            };
            let over = value == Value::Truncated;
            values.push(value);
            if over {
                break;
            }
        }
        Ok(Value::Array(values))
    }

    fn scalar(&mut self, ty: &Type<'_>, bytes: &[u8]) -> Value {
        let size = (bytes.len() as u32).saturating_mul(8);
        let bits = read_bits(bytes, 0, size, self.endian);
        match (ty.kind, bits) {
            (TypeKind::Int { .. }, Some(bits)) if is_char(self.btf, ty) => Value::Char(bits as u8),
            (TypeKind::Int { encoding, .. }, Some(bits)) => integer(encoding, bits, size),
            (
                TypeKind::Enum { signed, values, .. } | TypeKind::Enum64 { signed, values, .. },
                Some(bits),
            ) => self.enumerator(signed, values, bits, size),
            (TypeKind::Ptr(_), Some(bits)) => Value::Pointer(bits as u64),
            (TypeKind::Float { size: 4 }, Some(bits)) => {
                Value::Float(f32::from_bits(bits as u32).into())
            }
            (TypeKind::Float { size: 8 }, Some(bits)) => Value::Float(f64::from_bits(bits as u64)),
            _ => match self.charge(bytes.len()) {
                Some(()) => Value::Bytes(bytes.to_vec()),
                None => Value::Truncated,
            },
        }
    }

    fn enumerator(
        &mut self,
        signed: bool,
        values: Enumerators<'_>,
        bits: u128,
        size: u32,
    ) -> Value {
        let value = if signed {
            sign_extend(bits, size)
        } else {
            bits.cast_signed()
        };
        self.comparisons = self.comparisons.saturating_sub(values.len());
        let mut values = values.iter().take(self.comparisons);
        let name = values.find(|enumerator| enumerator.value == value);
        let name = name.and_then(|enumerator| self.btf.str_at(enumerator.name_off).ok());
        let name = name.filter(|name| self.charge(name.len()).is_some());
        Value::Enum {
            name: name.map(|name| String::from_utf8_lossy(name).into_owned()),
            value,
        }
    }
}

/// Whether an array without a length of its own may go on behind the type; it may begin in padding.
pub(crate) fn is_at_end(start: usize, size: usize) -> bool {
    start.saturating_add(8) > size
}

/// Whether this is `char`; compilers seldom set the flag that says so.
pub(crate) fn is_char(btf: &Btf, ty: &Type<'_>) -> bool {
    matches!(ty.kind, TypeKind::Int { size: 1, encoding, .. }
        if encoding.is_char() || name::is(btf.strings_from(ty.name_off), b"char"))
}

fn integer(encoding: IntEncoding, bits: u128, size: u32) -> Value {
    if encoding.is_bool() {
        Value::Bool(bits != 0)
    } else if encoding.is_signed() {
        Value::Int(sign_extend(bits, size))
    } else {
        Value::Uint(bits)
    }
}

#[cfg(test)]
mod tests;
