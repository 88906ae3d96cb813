//! Numbers out of bits of memory.

use crate::raw::Endian;

/// The number that some bits are in two's complement.
pub(crate) fn sign_extend(bits: u128, size: u32) -> i128 {
    match 128u32.checked_sub(size) {
        Some(unused @ 0..128) => (bits.cast_signed() << unused) >> unused,
        _ => bits.cast_signed(),
    }
}

/// Bits of memory as machines of a byte order number them: from the lowest of the first byte on
/// little-endian ones, from the highest on others. Nothing if there are not so many, or more than
/// 128.
pub(crate) fn read_bits(bytes: &[u8], offset: u32, size: u32, endian: Endian) -> Option<u128> {
    let skip = offset % 8;
    let count = skip.checked_add(size)?.div_ceil(8) as usize;
    let bytes = bytes.get(offset as usize / 8..)?.get(..count)?;
    if size == 0 || size > 128 {
        return None;
    }
    // Bit by bit, since 128 bits that begin inside a byte reach into a 17th.
    let bit = |index: u32| -> u128 {
        let byte = bytes.get(index as usize / 8).copied().unwrap_or_default();
        let shift = match endian {
            Endian::Little => index % 8,
            Endian::Big => 7 - index % 8,
        };
        u128::from(byte >> shift & 1)
    };
    if skip == 0 && size.is_multiple_of(8) {
        let push = |value: u128, byte: &u8| (value << 8) | u128::from(*byte);
        return Some(match endian {
            Endian::Little => bytes.iter().rev().fold(0, push),
            Endian::Big => bytes.iter().fold(0, push),
        });
    }
    Some((0..size).fold(0, |value, index| match endian {
        Endian::Little => value | (bit(skip + index) << index),
        Endian::Big => (value << 1) | bit(skip + index),
    }))
}
