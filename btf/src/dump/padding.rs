//! The bit-fields without a name that put a member where a compiler would not.

use crate::error::Result;
use crate::id::TypeId;

use super::printer::Printer;

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

impl Printer<'_> {
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
