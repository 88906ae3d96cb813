//! Where a compiler would put members by itself, and the padding that puts them elsewhere.

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::{Composite, TypeKind};

use super::c::CDump;

/// Types in types that are measured; printing goes no deeper either.
const MAX_DEPTH: u32 = 192;
/// The alignment of a type that was not measured yet.
const UNKNOWN: u8 = u8::MAX;

/// Alignments, each measured once.
#[derive(Debug)]
pub(super) struct Layouts<'a> {
    btf: &'a Btf,
    pub(super) pointer: u32,
    /// In bytes, by id.
    aligns: Vec<u8>,
}

/// Bits between two members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Alignment in bytes of what follows.
    pub(super) align: u32,
    /// Whether there is a bit-field on both sides.
    pub(super) in_bitfields: bool,
}

impl<'a> Layouts<'a> {
    pub(super) fn new(btf: &'a Btf) -> Self {
        Self {
            btf,
            pointer: btf.pointer_size(),
            aligns: vec![UNKNOWN; btf.len() as usize],
        }
    }

    /// The alignment of a type in bytes; 0 for what has none, such as a function.
    ///
    /// Unlike [`Btf::align_of`] this remembers, so that all types together take a step for each
    /// member.
    pub(super) fn align(&mut self, id: TypeId) -> Result<u32> {
        self.align_within(id, 0)
    }

    fn align_within(&mut self, id: TypeId, depth: u32) -> Result<u32> {
        match self.aligns.get(id.0 as usize) {
            Some(&UNKNOWN) | None => {}
            Some(align) => return Ok(u32::from(*align)),
        }
        if depth >= MAX_DEPTH {
            return Err(Error::Depth {
                id,
                limit: MAX_DEPTH,
            });
        }
        // For as long as this takes it has none, which ends a loop.
        self.remember(id, 0);
        let align = match self.btf.ty(id)?.kind {
            TypeKind::Int { size, .. }
            | TypeKind::Enum { size, .. }
            | TypeKind::Enum64 { size, .. }
            | TypeKind::Float { size } => size.min(self.pointer),
            TypeKind::Ptr(_) => self.pointer,
            TypeKind::Typedef(next)
            | TypeKind::Volatile(next)
            | TypeKind::Const(next)
            | TypeKind::Restrict(next)
            | TypeKind::TypeTag(next)
            | TypeKind::Array { elem: next, .. } => self.align_within(next, depth + 1)?,
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                self.measure(composite, depth + 1)?
            }
            _ => 0,
        };
        self.remember(id, align);
        Ok(align)
    }

    fn remember(&mut self, id: TypeId, align: u32) {
        if let (Some(slot), Ok(align)) = (self.aligns.get_mut(id.0 as usize), align.try_into()) {
            *slot = align;
        }
    }

    fn measure(&mut self, composite: Composite<'a>, depth: u32) -> Result<u32> {
        let mut most = 1;
        for member in composite.members {
            let align = self.align_within(member.ty, depth)?;
            if align == 0 {
                return Ok(0);
            }
            if member.bitfield_size == 0 && !is_in_line(member.bit_offset, align) {
                return Ok(1);
            }
            most = most.max(align);
        }
        Ok(if composite.size.is_multiple_of(most) {
            most
        } else {
            1
        })
    }

    /// Whether a compiler puts the members of a struct there only if it is told to pack them.
    pub(super) fn is_packed(&mut self, composite: Composite<'a>) -> Result<bool> {
        let mut most = 1;
        for member in composite.members {
            let align = self.align(member.ty)?;
            if align != 0 && member.bitfield_size == 0 && !is_in_line(member.bit_offset, align) {
                return Ok(true);
            }
            most = most.max(align);
        }
        Ok(!composite.size.is_multiple_of(most))
    }
}

fn is_in_line(bit_offset: u32, align: u32) -> bool {
    u64::from(bit_offset).is_multiple_of(u64::from(align) * 8)
}

impl CDump<'_> {
    /// Prints the bit-fields without a name that a gap needs, as few as will do.
    pub(super) fn pad(&mut self, id: TypeId, gap: Gap, indent: u32) -> Result<()> {
        let Gap {
            mut from,
            to,
            align,
            in_bitfields,
        } = gap;
        if from >= to {
            return Ok(());
        }
        let long = u64::from(self.layouts.pointer) * 8;
        let fillers: [(&str, u64); 4] = [("char", 8), ("short", 16), ("int", 32), ("long", long)];
        // The largest type of which a boundary lies in the gap: from there on it fills.
        let [smallest, ..] = fillers;
        let fits = |filler: &&(&str, u64)| from.next_multiple_of(filler.1) <= to;
        let (name, bits) = *fillers.iter().rev().find(fits).unwrap_or(&smallest);
        let boundary = from.next_multiple_of(bits);
        if boundary > from && boundary <= to {
            // Some boundaries a compiler reaches by itself: that of the next member, or of a filler
            // that would not fit before it.
            let natural = from.next_multiple_of(u64::from(align.max(1)) * 8);
            let needed = in_bitfields
                || (boundary == to && natural != boundary)
                || (boundary != to && to - boundary <= boundary - from);
            if needed {
                let width = if in_bitfields { boundary - from } else { 0 };
                self.filler(id, name, width, indent)?;
            }
            from = boundary;
        }
        while to.saturating_sub(from) >= bits {
            self.filler(id, name, bits, indent)?;
            from += bits;
        }
        let rest = to.saturating_sub(from);
        let smallest = fillers.iter().find(|(_, bits)| *bits >= rest);
        match smallest {
            Some((name, _)) if rest > 0 => self.filler(id, name, rest, indent),
            _ => Ok(()),
        }
    }

    fn filler(&mut self, id: TypeId, name: &str, bits: u64, indent: u32) -> Result<()> {
        self.spend(id, 1)?;
        self.line(indent);
        self.out.push_str(name);
        self.out.push_str(": ");
        self.number(bits);
        self.out.push(';');
        Ok(())
    }
}
