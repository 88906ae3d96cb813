//! The entries behind a type's record: members, parameters, variables of a section, enumerators.

use std::marker::PhantomData;
use std::slice;

use crate::id::TypeId;
use crate::raw::{self, Word};

/// Members of a struct or union.
pub type Members<'a> = Records<'a, Member, 3>;
/// Parameters of a function.
pub type Params<'a> = Records<'a, Param, 2>;
/// Variables of a section.
pub type SecInfos<'a> = Records<'a, SecInfo, 3>;

/// An entry of `N` words; `flag` is the kind flag of the type that it belongs to.
pub trait Record<const N: usize>: sealed::Sealed {
    #[doc(hidden)]
    fn read(words: [u32; N], flag: bool) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Member {}
    impl Sealed for super::Param {}
    impl Sealed for super::SecInfo {}
}

/// The entries of a type, each `N` words long: an iterable with random access.
pub struct Records<'a, T, const N: usize> {
    records: &'a [[Word; N]],
    flag: bool,
    of: PhantomData<fn() -> T>,
}

impl<T, const N: usize> Clone for Records<'_, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize> Copy for Records<'_, T, N> {}

impl<'a, T: Record<N>, const N: usize> Records<'a, T, N> {
    pub(crate) const fn new(words: &'a [Word], flag: bool) -> Self {
        Self {
            records: words.as_chunks::<N>().0,
            flag,
            of: PhantomData,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The entry at an index, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        self.records
            .get(index)
            .map(|words| T::read(words.map(raw::value), self.flag))
    }

    /// All entries in order.
    #[must_use]
    pub fn iter(&self) -> RecordIter<'a, T, N> {
        RecordIter {
            records: self.records.iter(),
            flag: self.flag,
            of: PhantomData,
        }
    }
}

impl<T: Record<N> + std::fmt::Debug, const N: usize> std::fmt::Debug for Records<'_, T, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Record<N>, const N: usize> IntoIterator for Records<'a, T, N> {
    type Item = T;
    type IntoIter = RecordIter<'a, T, N>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over [`Records`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a, T, const N: usize> {
    records: slice::Iter<'a, [Word; N]>,
    flag: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: Record<N>, const N: usize> Iterator for RecordIter<'_, T, N> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.records
            .next()
            .map(|words| T::read(words.map(raw::value), self.flag))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl<T: Record<N>, const N: usize> DoubleEndedIterator for RecordIter<'_, T, N> {
    fn next_back(&mut self) -> Option<T> {
        self.records
            .next_back()
            .map(|words| T::read(words.map(raw::value), self.flag))
    }
}

impl<T: Record<N>, const N: usize> ExactSizeIterator for RecordIter<'_, T, N> {}

/// A member of a struct or union (`struct btf_member`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where its name starts; 0 for an anonymous member.
    pub name_off: u32,
    /// Its type.
    pub ty: TypeId,
    /// Bits between the start of the struct and the member.
    pub bit_offset: u32,
    /// Bits of a bit-field; 0 for an ordinary member.
    pub bitfield_size: u8,
}

impl Record<3> for Member {
    #[inline]
    fn read([name_off, ty, offset]: [u32; 3], flag: bool) -> Self {
        // Without the flag all 32 bits are the offset, and bit-fields are special INT types.
        let (bit_offset, bitfield_size) = if flag {
            (offset & 0x00ff_ffff, (offset >> 24) as u8)
        } else {
            (offset, 0)
        };
        Self {
            name_off,
            ty: TypeId(ty),
            bit_offset,
            bitfield_size,
        }
    }
}

/// A parameter of a function (`struct btf_param`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Where its name starts; 0 for an anonymous one.
    pub name_off: u32,
    /// Its type.
    pub ty: TypeId,
}

impl Record<2> for Param {
    #[inline]
    fn read([name_off, ty]: [u32; 2], _: bool) -> Self {
        Self {
            name_off,
            ty: TypeId(ty),
        }
    }
}

/// A variable's place in its section (`struct btf_var_secinfo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecInfo {
    /// The VAR, or in `.ksyms` perhaps a FUNC.
    pub ty: TypeId,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Bytes of the variable.
    pub size: u32,
}

impl Record<3> for SecInfo {
    #[inline]
    fn read([ty, offset, size]: [u32; 3], _: bool) -> Self {
        Self {
            ty: TypeId(ty),
            offset,
            size,
        }
    }
}

/// A value of an enum (`struct btf_enum`, `struct btf_enum64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator {
    /// Where its name starts.
    pub name_off: u32,
    /// The value, read as signed or unsigned as the enum says.
    pub value: i128,
}

/// The values of an enum: an iterable with random access.
#[derive(Clone, Copy)]
pub struct Enumerators<'a> {
    words: &'a [Word],
    wide: bool,
    signed: bool,
}

impl<'a> Enumerators<'a> {
    pub(crate) const fn new(words: &'a [Word], wide: bool, signed: bool) -> Self {
        Self {
            words,
            wide,
            signed,
        }
    }

    const fn stride(&self) -> usize {
        if self.wide { 3 } else { 2 }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.words.len() / self.stride()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at an index, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Enumerator> {
        let start = index.checked_mul(self.stride())?;
        let record = self.words.get(start..)?.get(..self.stride())?;
        let (name, value) = match *record {
            [name, low] => {
                let low = raw::value(low);
                (
                    name,
                    if self.signed {
                        low.cast_signed().into()
                    } else {
                        low.into()
                    },
                )
            }
            [name, low, high] => {
                let value = u64::from(raw::value(high)) << 32 | u64::from(raw::value(low));
                (
                    name,
                    if self.signed {
                        value.cast_signed().into()
                    } else {
                        value.into()
                    },
                )
            }
            _ => return None,
        };
        Some(Enumerator {
            name_off: raw::value(name),
            value,
        })
    }

    /// All values in order.
    #[must_use]
    pub const fn iter(&self) -> EnumeratorIter<'a> {
        EnumeratorIter {
            values: *self,
            next: 0,
        }
    }
}

impl std::fmt::Debug for Enumerators<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Enumerators<'a> {
    type Item = Enumerator;
    type IntoIter = EnumeratorIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over [`Enumerators`].
#[derive(Clone, Debug)]
pub struct EnumeratorIter<'a> {
    values: Enumerators<'a>,
    next: usize,
}

impl Iterator for EnumeratorIter<'_> {
    type Item = Enumerator;

    fn next(&mut self) -> Option<Enumerator> {
        let value = self.values.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(values: &[u32]) -> Vec<Word> {
        values.iter().map(|value| value.to_ne_bytes()).collect()
    }

    #[test]
    fn member_offset_is_split_only_with_the_flag() {
        let words = words(&[1, 2, 0x0500_0021]);
        let read = |flag| Members::new(&words, flag).get(0).unwrap();
        assert_eq!((read(true).bit_offset, read(true).bitfield_size), (0x21, 5));
        assert_eq!(
            (read(false).bit_offset, read(false).bitfield_size),
            (0x0500_0021, 0)
        );
    }

    #[test]
    fn enumerators_of_both_widths_know_their_sign() {
        let narrow = words(&[1, u32::MAX, 2, 7]);
        let values = |signed| {
            Enumerators::new(&narrow, false, signed)
                .iter()
                .map(|v| v.value)
        };
        assert_eq!(values(true).collect::<Vec<_>>(), [-1, 7]);
        assert_eq!(values(false).collect::<Vec<_>>(), [i128::from(u32::MAX), 7]);
        let wide = words(&[1, 5, u32::MAX]);
        let value = |signed| Enumerators::new(&wide, true, signed).get(0).unwrap().value;
        assert_eq!(
            value(true),
            i128::from(0xffff_ffff_0000_0005_u64.cast_signed())
        );
        assert_eq!(value(false), 0xffff_ffff_0000_0005);
        assert_eq!(Enumerators::new(&wide, true, true).get(1), None);
    }

    #[test]
    fn records_go_both_ways_and_stop() {
        let words = words(&[1, 2, 3, 4]);
        let params = Params::new(&words, false);
        assert_eq!(
            params.iter().rev().map(|p| p.ty.0).collect::<Vec<_>>(),
            [4, 2]
        );
        assert_eq!((params.len(), params.get(2)), (2, None));
    }
}
