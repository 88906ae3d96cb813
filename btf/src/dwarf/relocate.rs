//! Relocations of debug sections in files that were not linked.

use std::borrow::Cow;

use object::{
    Architecture, File, Object as _, ObjectSection as _, ObjectSymbol as _, Relocation,
    RelocationFlags, RelocationKind, RelocationTarget, Section,
};

use super::layout::{Layout, in_elf};
use crate::error::{Error, Result};

/// Relocations of BPF that `object` does not know: `R_BPF_64_ABS64`, `R_BPF_64_ABS32` and
/// `R_BPF_64_NODYLD32`, with their bits.
const BPF: [(u32, u8); 3] = [(2, 64), (3, 32), (4, 32)];

/// A section with its relocations applied, of which `left` may be left; sections in memory are
/// where the layout puts them, and debug sections start at 0.
pub(super) fn relocate<'d>(
    file: &File<'d>,
    layout: &Layout,
    section: &Section<'d, '_>,
    data: Cow<'d, [u8]>,
    left: &mut usize,
) -> Result<Cow<'d, [u8]>> {
    let mut relocations = section.relocations().peekable();
    if relocations.peek().is_none() {
        return Ok(data);
    }
    let mut data = data.into_owned();
    let little = file.is_little_endian();
    for (offset, relocation) in relocations {
        *left = left.checked_sub(1).ok_or(Error::TooLarge {
            what: "relocations of debug sections",
        })?;
        let Some(width) = width(file, &relocation) else {
            continue;
        };
        let target = match relocation.target() {
            RelocationTarget::Symbol(index) => {
                let symbol = file
                    .symbol_by_index(index)
                    .map_err(in_elf("the target of a relocation"))?;
                layout.symbol(symbol.section_index(), symbol.address())
            }
            RelocationTarget::Section(index) => layout.section(index),
            _ => 0,
        };
        let slot = usize::try_from(offset)
            .ok()
            .and_then(|start| data.get_mut(start..start.checked_add(width)?));
        let Some(slot) = slot else {
            return Err(Error::DebugInfo {
                what: "a debug section".into(),
                source: format!("it has no {width} bytes at offset {offset} to relocate").into(),
            });
        };
        let mut value = target.wrapping_add(relocation.addend().cast_unsigned());
        if relocation.has_implicit_addend() {
            value = value.wrapping_add(read(slot, little));
        }
        write(slot, little, value);
    }
    Ok(Cow::Owned(data))
}

/// Bytes that a relocation changes, if it is one that puts an address there. Others are of no
/// interest: differences of addresses, within sections that are not read.
fn width(file: &File<'_>, relocation: &Relocation) -> Option<usize> {
    let bits = match (relocation.kind(), relocation.flags()) {
        (RelocationKind::Absolute, _) => relocation.size(),
        (_, RelocationFlags::Elf { r_type }) if file.architecture() == Architecture::Bpf => {
            BPF.iter().find(|row| row.0 == r_type.0)?.1
        }
        _ => return None,
    };
    matches!(bits, 8 | 16 | 32 | 64).then_some(usize::from(bits / 8))
}

fn read(slot: &[u8], little: bool) -> u64 {
    let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    match little {
        true => slot.iter().rev().fold(0, fold),
        false => slot.iter().fold(0, fold),
    }
}

fn write(slot: &mut [u8], little: bool, value: u64) {
    let put = |(byte, place): (&mut u8, u32)| *byte = (value >> (8 * place)) as u8;
    match little {
        true => slot.iter_mut().zip(0..).for_each(put),
        false => slot.iter_mut().rev().zip(0..).for_each(put),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_write_what_they_read() {
        for (little, bytes) in [(true, [4, 3, 2, 1]), (false, [1, 2, 3, 4])] {
            let mut slot = [0; 4];
            write(&mut slot, little, 0xffff_0102_0304);
            assert_eq!(slot, bytes);
            assert_eq!(read(&slot, little), 0x0102_0304);
        }
    }
}
