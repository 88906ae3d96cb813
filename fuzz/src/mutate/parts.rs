//! Inputs that are made of several, changed in one of them.

use fastrand::Rng;

use super::{any, blind, btf, contents};
use crate::{halves, join, skeleton};

/// One of two BTFs.
pub fn pair(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let (first, second) = halves(bytes);
    let mut both = [first.to_vec(), second.to_vec()];
    let which = rng.usize(..2);
    btf::change(&mut both[which], rng).or_else(|| btf::change(&mut both[1 - which], rng))?;
    let [first, second] = both;
    *bytes = joined(&first, &second)?;
    Some(())
}

/// A BTF, behind it a value of one of its types.
pub fn value(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let (first, second) = halves(bytes);
    let (mut first, mut second) = (first.to_vec(), second.to_vec());
    match rng.bool() {
        true => btf::change(&mut first, rng)?,
        false => blind(&mut second, rng)?,
    }
    *bytes = joined(&first, &second)?;
    Some(())
}

/// Relocations, behind them a BTF.
pub fn relocations(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let (first, second) = halves(bytes);
    let (mut first, mut second) = (first.to_vec(), second.to_vec());
    match rng.bool() {
        true => contents::words(&mut first, rng)?,
        false => btf::change(&mut second, rng)?,
    }
    *bytes = joined(&first, &second)?;
    Some(())
}

fn joined(first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
    u16::try_from(first.len()).ok()?;
    Some(join(first, second))
}

/// A section of those that `skeleton` makes an object of.
pub fn sections(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let mut parts: Vec<Vec<u8>> = skeleton::parts(bytes).map(<[u8]>::to_vec).collect();
    let count = parts.len();
    let at = any(&parts, rng)?;
    let part = &mut parts[at];
    match skeleton::name(at) {
        ".symtab" => contents::symbols(part, count, rng)?,
        ".text" | skeleton::PROGRAM => contents::instructions(part, rng)?,
        ".rel.text" | ".rel.program" | ".rel.maps" => contents::relocations(part, rng)?,
        ".BTF" => btf::change(part, rng)?,
        ".BTF.ext" => contents::words(part, rng)?,
        _ => blind(part, rng)?,
    }
    *bytes = skeleton::joined(&parts)?;
    Some(())
}
