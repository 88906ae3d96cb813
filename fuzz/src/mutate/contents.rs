//! What is in the sections of an object, changed by what it means there.

use fastrand::Rng;

use super::{any, number};

const INSN: usize = 8;
const SYMBOL: usize = 24;
const RELOCATION: usize = 16;

/// A symbol: its name, section, place, size or type.
pub(super) fn symbols(bytes: &mut [u8], sections: usize, rng: &mut Rng) -> Option<()> {
    let symbols = bytes.as_chunks_mut::<SYMBOL>().0;
    let (at, other) = (any(symbols, rng)?, any(symbols, rng)?);
    let other = symbols[other];
    let symbol = &mut symbols[at];
    let is_copied = rng.bool();
    let (start, value) = match rng.u32(..5) {
        0 => (0, other[..4].to_vec()),
        1 if is_copied => (4, vec![other[4]]),
        // `STB_*` and `STT_*`
        1 => (4, vec![rng.u8(..3) << 4 | rng.u8(..5)]),
        2 if is_copied => (6, other[6..8].to_vec()),
        2 => (6, (rng.usize(..=sections) as u16).to_le_bytes().to_vec()),
        field => {
            let start = 8 + 8 * usize::from(field == 4);
            let old = u32::from_le_bytes(*symbol[start..].first_chunk()?);
            let new = match is_copied {
                true => u32::from_le_bytes(*other[start..].first_chunk()?),
                false => number(old / 8, rng).wrapping_mul(8),
            };
            (start, u64::from(new).to_le_bytes().to_vec())
        }
    };
    symbol[start..start + value.len()].copy_from_slice(&value);
    Some(())
}

/// A relocation: its symbol or the instruction that it is of; or it is there twice, or gone.
pub(super) fn relocations(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let entries = bytes.as_chunks_mut::<RELOCATION>().0;
    let (at, other) = (any(entries, rng)?, any(entries, rng)?);
    let from = entries[other];
    let entry = &mut entries[at];
    let word = |from: &[u8]| Some(u32::from_le_bytes(*from.first_chunk()?));
    match rng.u32(..5) {
        0 => entry[12..].copy_from_slice(&from[12..]),
        1 => {
            let symbol = number(word(&entry[12..])?, rng);
            entry[12..].copy_from_slice(&symbol.to_le_bytes());
        }
        2 => {
            let offset = number(word(entry)? / 8, rng).wrapping_mul(8);
            entry[..8].copy_from_slice(&u64::from(offset).to_le_bytes());
        }
        3 => bytes.extend(from),
        _ => drop(bytes.drain(at * RELOCATION..(at + 1) * RELOCATION)),
    }
    Some(())
}

/// An instruction: another one in its place, or another register, offset or immediate value.
pub(super) fn instructions(bytes: &mut [u8], rng: &mut Rng) -> Option<()> {
    let insns = bytes.as_chunks_mut::<INSN>().0;
    let (at, other) = (any(insns, rng)?, any(insns, rng)?);
    let other = insns[other];
    let count = insns.len() as u16;
    let insn = &mut insns[at];
    match rng.u32(..5) {
        0 => *insn = other,
        1 => insn[0] = other[0],
        2 => insn[1] = rng.u8(..11) | rng.u8(..11) << 4,
        3 => {
            let to = rng.u16(..=count).wrapping_sub(at as u16 + 1);
            insn[2..4].copy_from_slice(&to.to_le_bytes());
        }
        _ => {
            let old = u32::from_le_bytes(*insn.last_chunk()?);
            insn[4..].copy_from_slice(&number(old, rng).to_le_bytes());
        }
    }
    Some(())
}

/// One of the words of which a section is made: another one in its place, or another number.
pub(super) fn words(bytes: &mut [u8], rng: &mut Rng) -> Option<()> {
    let words = bytes.as_chunks_mut::<4>().0;
    let (at, other) = (any(words, rng)?, any(words, rng)?);
    words[at] = match rng.bool() {
        true => words[other],
        false => number(u32::from_le_bytes(words[at]), rng).to_le_bytes(),
    };
    Some(())
}
