//! Where a compiler would put members by itself.

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::{Composite, TypeKind};
use crate::view::View;

/// Types in types that are measured; printing goes no deeper either.
const MAX_DEPTH: u32 = 192;
/// The alignment of a type that was not measured yet.
const UNKNOWN: u8 = u8::MAX;

/// Alignments, each measured once.
#[derive(Debug)]
pub(super) struct Layouts<'a> {
    btf: View<'a>,
    pub(super) pointer: u32,
    /// In bytes, by id.
    aligns: Vec<u8>,
}

impl<'a> Layouts<'a> {
    pub(super) fn new(btf: &'a Btf) -> Self {
        Self {
            btf: View::of(btf),
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
