//! Whether a value is worth printing.

use crate::error::Result;
use crate::query::MAX_DEPTH;
use crate::types::TypeKind;
use crate::value::is_char;

use super::value::{Place, Printer};

impl Printer<'_, '_> {
    /// Whether all parts of a value are zero, padding aside; the text of an array of `char` is zero
    /// if it is empty. What is not there, or takes too long to look at, is not zero.
    pub(super) fn is_zero(&mut self, place: Place, depth: u32) -> Result<bool> {
        if depth >= MAX_DEPTH || self.steps == 0 {
            return Ok(false);
        }
        self.steps -= 1;
        let size = self.btf.resolve_size(place.id)? as usize;
        let ty = self.btf.ty(self.btf.skip_mods_and_typedefs(place.id)?)?;
        match ty.kind {
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                for member in composite.members {
                    if !self.is_zero(self.member(place, member), depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            TypeKind::Array { elem, nelems, .. } => {
                let elem_size = self.btf.resolve_size(elem)? as usize;
                let count = self.count(nelems, elem_size, place.start);
                let bytes = self.bytes.get(place.start..).unwrap_or_default();
                let elem_ty = self.btf.ty(self.btf.skip_mods_and_typedefs(elem)?)?;
                if count == 0 || is_char(self.btf, &elem_ty) {
                    return Ok(count == 0 || bytes.first() == Some(&0));
                }
                // Mostly all is zero, or the first element is not.
                let whole = count
                    .checked_mul(elem_size)
                    .and_then(|len| bytes.get(..len));
                self.steps = self.steps.saturating_sub(whole.map_or(0, <[u8]>::len) / 64);
                if whole.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0)) {
                    return Ok(true);
                }
                for index in 0..count {
                    let offset = index.saturating_mul(elem_size);
                    let part = Place {
                        id: elem,
                        start: place.start.saturating_add(offset),
                        ..place
                    };
                    if !self.is_zero(part, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            // -0.0 is worth seeing, so bits count and not values.
            _ => Ok(self.bits(size, place).is_some_and(|(bits, _)| bits == 0)),
        }
    }
}
