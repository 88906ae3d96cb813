//! Inputs changed by what their bytes mean, so that they still get past the first checks.
//!
//! ```text
//! btf.rs       types of BTF: kinds, names, references, members
//! elf.rs       sections of an ELF file
//! contents.rs  what is in them: symbols, relocations, instructions
//! parts.rs     inputs that are made of several
//! ```

pub mod btf;
mod contents;
pub mod elf;
pub mod parts;

use fastrand::Rng;
use libfuzzer_sys::fuzzer_mutate;

/// A change to an input, or to a part of one; `None` if there is nothing like it to change.
pub type Change = fn(&mut Vec<u8>, &mut Rng) -> Option<()>;

/// What `fuzz_mutator!` calls: some changes by meaning, or what the fuzzer does to any bytes.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32, change: Change) -> usize {
    /// One of so many is left to the fuzzer, which also breaks what must hold.
    const BLIND: u32 = 3;
    let mut rng = Rng::with_seed(seed.into());
    if rng.u32(..BLIND) != 0 {
        let mut bytes = data[..size].to_vec();
        let mut is_changed = false;
        for _ in 0..rng.u32(1..=4) {
            is_changed |= change(&mut bytes, &mut rng).is_some();
        }
        if let Some(place) = data[..max].get_mut(..bytes.len())
            && is_changed
        {
            place.copy_from_slice(&bytes);
            return bytes.len();
        }
    }
    fuzzer_mutate(data, size, max)
}

/// One of the words that an input is made of.
#[expect(clippy::ptr_arg, reason = "it is a Change")]
pub fn words(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    contents::words(bytes, rng)
}

/// What the fuzzer does to any bytes, some longer or shorter.
fn blind(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let (size, max) = (bytes.len(), bytes.len() + rng.usize(1..=64));
    bytes.resize(max, 0);
    let size = fuzzer_mutate(bytes, size, max);
    bytes.truncate(size);
    Some(())
}

/// A place in a list; `None` if it is empty.
fn any<T>(all: &[T], rng: &mut Rng) -> Option<usize> {
    (!all.is_empty()).then(|| rng.usize(..all.len()))
}

/// One of the numbers at which something ends, or near it.
fn number(old: u32, rng: &mut Rng) -> u32 {
    let near = old.wrapping_add(rng.u32(..=8)).wrapping_sub(4);
    let bit = 1u32 << rng.u32(..32);
    *rng.choice(&[0, 1, 8, near, near, old ^ bit, bit, bit - 1, u32::MAX])
        .expect("not empty")
}
