//! What stands in the braces of a struct, union or enum.

use crate::entries::Member;
use crate::error::Result;
use crate::types::{Type, TypeKind};

use super::padding::Gap;
use super::printer::Printer;

/// As much as a line is ever indented.
const TABS: &str = "\t\t\t\t\t\t\t\t\t\t\t\t\t";

impl<'a> Printer<'a> {
    /// Begins a line.
    pub(super) fn line(&mut self, indent: u32) {
        self.out.push('\n');
        self.out
            .push_str(TABS.get(..indent as usize).unwrap_or(TABS));
    }

    /// Prints the definition of a struct or union, or only what it is and what is in its braces.
    pub(super) fn composite_def(
        &mut self,
        ty: &Type<'a>,
        with_name: bool,
        indent: u32,
        depth: u32,
    ) -> Result<()> {
        let Some(composite) = ty.kind.composite() else {
            return Ok(());
        };
        let is_struct = matches!(ty.kind, TypeKind::Struct(_));
        let inside = indent.saturating_add(1);
        let align = self.layouts.align(ty.id)?;
        let packed = is_struct && self.layouts.is_packed(composite)?;
        self.keyword(ty);
        if with_name {
            self.tag_name(ty)?;
        }
        self.out.push_str(" {");
        let mut end = 0;
        let mut after_bitfield = false;
        for member in composite.members {
            let is_bitfield = member.bitfield_size != 0;
            let start = u64::from(member.bit_offset);
            let align = if packed {
                1
            } else {
                self.layouts.align(member.ty)?
            };
            let gap = Gap {
                from: end,
                to: start,
                align,
                in_bitfields: after_bitfield && is_bitfield,
            };
            self.pad(ty.id, gap, inside)?;
            self.line(inside);
            self.member(&member, inside, depth)?;
            let bits = if is_bitfield {
                self.out.push_str(": ");
                self.number(member.bitfield_size);
                u64::from(member.bitfield_size)
            } else {
                u64::from(self.btf.resolve_size(member.ty).unwrap_or(0)) * 8
            };
            end = start + bits;
            after_bitfield = is_bitfield;
            self.out.push(';');
        }
        if is_struct {
            let gap = Gap {
                from: end,
                to: u64::from(composite.size) * 8,
                align,
                in_bitfields: false,
            };
            self.pad(ty.id, gap, inside)?;
        }
        if !composite.members.is_empty() || composite.size != 0 {
            self.line(indent);
        }
        self.out.push('}');
        if packed {
            self.out.push_str(" __attribute__((packed))");
        }
        Ok(())
    }

    fn member(&mut self, member: &Member, indent: u32, depth: u32) -> Result<()> {
        let name = self.btf.name_at(member.name_off)?;
        if name.is_empty() && self.expand_unnamed {
            let ty = self.btf.ty(self.btf.skip_mods_and_typedefs(member.ty)?)?;
            if ty.kind.composite().is_some() {
                let depth = self.descend(ty.id, depth)?;
                return self.composite_def(&ty, false, indent, depth);
            }
        }
        self.declare(member.ty, name, indent, depth)
    }

    /// Prints the definition of an enum; without values it is only named.
    pub(super) fn enum_def(&mut self, ty: &Type<'a>, indent: u32) -> Result<()> {
        let (size, values, signed, wide) = match ty.kind {
            TypeKind::Enum {
                size,
                values,
                signed,
            } => (size, values, signed, false),
            TypeKind::Enum64 {
                size,
                values,
                signed,
            } => (size, values, signed, true),
            _ => return Ok(()),
        };
        self.tag(ty)?;
        if values.is_empty() {
            return Ok(());
        }
        self.out.push_str(" {");
        let mut exceeds_int = false;
        for value in values {
            self.spend(ty.id, 1)?;
            self.line(indent.saturating_add(1));
            self.push_enumerator(value.name_off)?;
            self.out.push_str(" = ");
            match signed {
                true => self.number(value.value as i64),
                false => self.number(value.value as u64),
            }
            self.out.push_str(match (wide, signed) {
                (false, _) => ",",
                (true, true) => "LL,",
                (true, false) => "ULL,",
            });
            exceeds_int |= wide && value.value as u64 >> 32 != 0;
        }
        self.line(indent);
        self.out.push('}');
        if size == 1 {
            self.out.push_str(" __attribute__((mode(byte)))");
        } else if size == 8 && self.layouts.pointer == 8 && !exceeds_int {
            // No value makes a compiler take eight bytes by itself.
            self.out.push_str(" __attribute__((mode(word)))");
        }
        Ok(())
    }
}
