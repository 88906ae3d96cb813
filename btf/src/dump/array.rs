//! Arrays of values: elements, characters, strings.

use crate::error::Result;
use crate::id::TypeId;
use crate::types::TypeKind;
use crate::value::{is_at_end, is_char};

use super::value::{Nesting, Place, Printer, Shown};

impl Printer<'_, '_> {
    pub(super) fn array(
        &mut self,
        elem: TypeId,
        nelems: u32,
        place: Place,
        nesting: Nesting,
    ) -> Result<Shown> {
        let inside = nesting.inside(place.id, true)?;
        let size = self.btf.resolve_size(elem)? as usize;
        let count = self.count(nelems, size, place.start);
        let elem_ty = self.btf.ty(self.btf.skip_mods_and_typedefs(elem)?)?;
        let is_text = is_char(self.btf, &elem_ty);
        let is_signed =
            matches!(elem_ty.kind, TypeKind::Int { encoding, .. } if encoding.is_signed());
        if is_text && self.style.strings && self.string(place.start, count) {
            self.close(nesting);
            return Ok(Shown::Whole);
        }
        self.out.push('[');
        self.new_line();
        let mut shown = Shown::Whole;
        for index in 0..count {
            let start = index
                .checked_mul(size)
                .and_then(|offset| place.start.checked_add(offset));
            let part = Place {
                start: start.unwrap_or(usize::MAX),
                ..Place::of(elem)
            };
            if is_text && let Some(byte) = self.bytes.get(part.start) {
                let byte = *byte;
                if byte == 0 && !self.style.zeroes {
                    break;
                }
                if !self.charge(0) {
                    shown = self.cut(inside);
                    break;
                }
                self.char(byte, is_signed, inside);
                if byte == 0 {
                    break;
                }
                continue;
            }
            shown = self.value("", part, inside)?;
            if shown == Shown::Cut {
                break;
            }
        }
        self.close_with(']', nesting);
        Ok(shown)
    }

    /// How many elements there are: those of a flexible array are as many as there are bytes.
    pub(super) fn count(&self, nelems: u32, size: usize, start: usize) -> usize {
        let left = self.bytes.len().saturating_sub(start);
        match (nelems, left.checked_div(size)) {
            (_, None) => 0,
            (0, Some(rest)) if self.bytes.len() > self.end && is_at_end(start, self.end) => rest,
            (nelems, _) => nelems as usize,
        }
    }

    fn char(&mut self, byte: u8, is_signed: bool, nesting: Nesting) {
        self.indent(nesting);
        match byte {
            0 => self.out.push_str("'\\0'"),
            b' '..=b'~' => {
                self.out.push('\'');
                self.out.push(byte.into());
                self.out.push('\'');
            }
            other if is_signed => self.out.push_str(&other.cast_signed().to_string()),
            other => self.out.push_str(&other.to_string()),
        }
        self.close(nesting);
    }

    /// Prints chars as a string, if a NUL ends them.
    fn string(&mut self, start: usize, count: usize) -> bool {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let text = rest.get(..count).unwrap_or(rest);
        let end = text.iter().position(|byte| *byte == 0);
        let Some(end) = end.filter(|end| self.charge(*end)) else {
            return false;
        };
        self.out.push('"');
        for byte in text.get(..end).unwrap_or_default() {
            match byte {
                b' '..=b'~' => self.out.push((*byte).into()),
                other => self.out.push_str(&format!("\\x{other:02x}")),
            }
        }
        self.out.push('"');
        true
    }
}
