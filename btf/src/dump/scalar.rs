//! Numbers, pointers and enumerators as text.

use std::fmt::Write as _;

use crate::entries::{Enumerators, Member};
use crate::types::{Type, TypeKind};
use crate::value::bits::{read_bits, sign_extend};

use super::value::{Place, Printer, Shown};

impl Printer<'_, '_> {
    /// Where a member of a struct or union lies.
    pub(super) fn member(&self, of: Place, member: Member) -> Place {
        let mut bit_offset = member.bit_offset;
        let mut bits = u32::from(member.bitfield_size);
        let ty = self.btf.skip_mods_and_typedefs(member.ty);
        // Very old BTF has integers that are some bits of their storage.
        if let (
            0,
            Ok(TypeKind::Int {
                size,
                bits: own,
                offset,
                ..
            }),
        ) = (bits, ty.and_then(|id| self.btf.ty(id)).map(|ty| ty.kind))
            && size.saturating_mul(8) != u32::from(own)
        {
            bits = own.into();
            bit_offset = bit_offset.saturating_add(offset.into());
        }
        Place {
            id: member.ty,
            start: of.start.saturating_add(bit_offset as usize / 8),
            bit: bit_offset % 8,
            bits,
        }
    }

    /// The bits of a number, and how many there are; nothing if they are not all there.
    pub(super) fn bits(&self, size: usize, place: Place) -> Option<(u128, u32)> {
        let count = match place.bits {
            0 => u32::try_from(size).ok()?.checked_mul(8)?,
            bits => bits,
        };
        let bytes = self.bytes.get(place.start..)?;
        Some((
            read_bits(bytes, place.bit, count, self.style.endian)?,
            count,
        ))
    }

    /// Prints what has no parts.
    pub(super) fn scalar(&mut self, ty: &Type<'_>, size: usize, place: Place) -> Shown {
        let Some((bits, count)) = self.bits(size, place) else {
            self.out.push_str("<truncated>");
            return Shown::Cut;
        };
        match ty.kind {
            TypeKind::Int { encoding, .. } if place.bits == 0 && count < 128 => {
                match encoding.is_signed() {
                    true => self.push(sign_extend(bits, count)),
                    false => self.push(bits),
                }
            }
            TypeKind::Enum { signed, values, .. } => {
                self.enumerator(bits, count, signed, values, "");
            }
            TypeKind::Enum64 { signed, values, .. } => {
                let suffix = if signed { "LL" } else { "ULL" };
                self.enumerator(bits, count, signed, values, suffix);
            }
            TypeKind::Float { size: 4 } => self.float(f32::from_bits(bits as u32).into()),
            TypeKind::Float { size: 8 } => self.float(f64::from_bits(bits as u64)),
            _ => self.push(format_args!("{bits:#x}")),
        }
        Shown::Whole
    }

    fn push(&mut self, value: impl std::fmt::Display) {
        let _never_fails = write!(self.out, "{value}");
    }

    /// Prints a number with six digits behind the point, as C does.
    fn float(&mut self, value: f64) {
        if value.is_nan() {
            let sign = if value.is_sign_negative() { "-" } else { "" };
            self.push(format_args!("{sign}nan"));
        } else {
            self.push(format_args!("{value:.6}"));
        }
    }

    fn enumerator(
        &mut self,
        bits: u128,
        count: u32,
        signed: bool,
        values: Enumerators<'_>,
        suffix: &str,
    ) {
        let value = match signed {
            true => sign_extend(bits, count),
            false => bits.cast_signed(),
        };
        self.steps = self.steps.saturating_sub(values.len());
        let named = values.iter().take(self.steps).find(|e| e.value == value);
        let name = named.and_then(|named| self.btf.name_at(named.name_off).ok());
        if let Some(name) = name {
            self.out.push_str(name);
        } else if !(self.style.flags && self.flags(bits, values)) {
            self.push(value);
            self.out.push_str(suffix);
        }
    }

    /// Prints a number as enumerators of one bit each, if those are all its bits.
    fn flags(&mut self, bits: u128, values: Enumerators<'_>) -> bool {
        let start = self.out.len();
        let mut left = bits;
        self.steps = self.steps.saturating_sub(values.len());
        for flag in values.iter().take(self.steps) {
            let bit = u128::from(flag.value as u64);
            let Ok(name) = self.btf.name_at(flag.name_off) else {
                continue;
            };
            if bit.is_power_of_two() && left & bit != 0 {
                if left != bits {
                    self.out.push('|');
                }
                self.out.push_str(name);
                left &= !bit;
            }
        }
        let all = left == 0 && bits != 0;
        if !all {
            self.out.truncate(start);
        }
        all
    }
}
