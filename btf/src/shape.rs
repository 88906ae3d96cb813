//! The shape of each kind's record as one table, for all that walks records word by word.

use crate::kind::Kind;
use crate::raw::{self, MAX_VLEN, Word};

/// What one word of a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Plain,
    Name,
    Type,
}

/// What the name of a type names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A type that a variable can have, and that CO-RE relocates.
    Data,
    /// A function, variable, section, tag, or something unknown; all other types have no name.
    Symbol,
}

/// What follows the first three words of a record: nothing, one of it, or `vlen` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    None,
    /// One word that is neither name nor type.
    Word,
    /// `struct btf_array`.
    Array,
    Member,
    Enumerator,
    Param,
    SecInfo,
    Enumerator64,
}

impl Entry {
    const fn fields(self) -> &'static [Field] {
        use Field::{Name, Plain, Type};
        match self {
            Self::None => &[],
            Self::Word => &[Plain],
            Self::Array => &[Type, Type, Plain],
            Self::Member => &[Name, Type, Plain],
            Self::Enumerator => &[Name, Plain],
            Self::Param => &[Name, Type],
            Self::SecInfo => &[Type, Plain, Plain],
            Self::Enumerator64 => &[Name, Plain, Plain],
        }
    }

    const fn is_single(self) -> bool {
        matches!(self, Self::Word | Self::Array)
    }
}

/// The record of one kind: name offset, info, a size or type, then entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    entry: Entry,
    class: Class,
    known: bool,
    /// Words of the single entry.
    once: u8,
    /// Words of each of the `vlen` entries.
    each: u8,
    /// All bits if the third word is a type.
    third_mask: u32,
}

/// Words of a record before those that its kind adds.
pub(crate) const BASE_WORDS: usize = 3;

const UNKNOWN: Shape = Shape {
    entry: Entry::None,
    class: Class::Symbol,
    known: false,
    once: 0,
    each: 0,
    third_mask: 0,
};

/// By the seven bits that a record has for its kind. There is no record of void.
static SHAPES: [Shape; 128] = {
    use Class::{Data, Symbol};
    use Field::{Plain, Type};
    let rows = [
        (Kind::Int, Plain, Entry::Word, Data),
        (Kind::Ptr, Type, Entry::None, Symbol),
        (Kind::Array, Plain, Entry::Array, Symbol),
        (Kind::Struct, Plain, Entry::Member, Data),
        (Kind::Union, Plain, Entry::Member, Data),
        (Kind::Enum, Plain, Entry::Enumerator, Data),
        (Kind::Fwd, Plain, Entry::None, Data),
        (Kind::Typedef, Type, Entry::None, Data),
        (Kind::Volatile, Type, Entry::None, Symbol),
        (Kind::Const, Type, Entry::None, Symbol),
        (Kind::Restrict, Type, Entry::None, Symbol),
        (Kind::Func, Type, Entry::None, Symbol),
        (Kind::FuncProto, Type, Entry::Param, Symbol),
        (Kind::Var, Type, Entry::Word, Symbol),
        (Kind::Datasec, Plain, Entry::SecInfo, Symbol),
        (Kind::Float, Plain, Entry::None, Data),
        (Kind::DeclTag, Type, Entry::Word, Symbol),
        (Kind::TypeTag, Type, Entry::None, Symbol),
        (Kind::Enum64, Plain, Entry::Enumerator64, Data),
    ];
    let mut shapes = [UNKNOWN; 128];
    let mut left = rows.as_slice();
    let mut rest: &mut [Shape] = &mut shapes;
    let mut number = 0;
    while let ([slot, behind @ ..], [(kind, third, entry, class), after @ ..]) = (rest, left) {
        if number == *kind as u8 {
            let words = entry.fields().len() as u8;
            let (once, each) = if entry.is_single() {
                (words, 0)
            } else {
                (0, words)
            };
            let third_mask = if matches!(third, Type) { u32::MAX } else { 0 };
            *slot = Shape {
                entry: *entry,
                class: *class,
                known: true,
                once,
                each,
                third_mask,
            };
            left = after;
        }
        rest = behind;
        number += 1;
    }
    shapes
};

impl Shape {
    #[inline]
    pub(crate) fn of(kind_number: u8) -> &'static Self {
        SHAPES
            .get(usize::from(kind_number & 0x7f))
            .unwrap_or(&UNKNOWN)
    }

    #[inline]
    pub(crate) const fn entry(&self) -> Entry {
        self.entry
    }

    #[inline]
    pub(crate) const fn class(&self) -> Class {
        self.class
    }

    /// Whether the kind is one of [`Kind`]; otherwise this shape is that of an empty record.
    #[inline]
    pub(crate) const fn is_known(&self) -> bool {
        self.known
    }

    /// Words behind the first three.
    #[inline]
    pub(crate) const fn extra_words(&self, vlen: u32) -> usize {
        // At most three words for each of 2^24 entries.
        self.once as usize + self.each as usize * vlen as usize
    }

    #[inline]
    pub(crate) const fn third_is_type(&self) -> bool {
        self.third_mask != 0
    }

    /// The third word if it is a type, else 0.
    #[inline]
    pub(crate) const fn type_in_third(&self, third: u32) -> u32 {
        third & self.third_mask
    }

    /// The third word if it is no type, else 0.
    #[inline]
    pub(crate) const fn plain_in_third(&self, third: u32) -> u32 {
        third & !self.third_mask
    }

    /// Which word of a record holds its type number `index`, counted from 0. It may be behind the
    /// last one: nobody is asked how many entries there are.
    pub(crate) fn type_word(&self, index: usize) -> Option<usize> {
        let Some(index) = index.checked_sub(usize::from(self.third_is_type())) else {
            return Some(BASE_WORDS - 1);
        };
        let word = match self.entry {
            Entry::None | Entry::Word | Entry::Enumerator | Entry::Enumerator64 => None,
            Entry::Array => (index < 2).then_some(index),
            Entry::Member => Some(index * 3 + 1),
            Entry::Param => Some(index * 2 + 1),
            Entry::SecInfo => Some(index * 3),
        };
        Some(BASE_WORDS + word?)
    }

    /// Whether two records of this kind, base words left out, differ at most in types.
    #[inline]
    pub(crate) fn are_alike(&self, a: &[u32], b: &[u32]) -> bool {
        match self.entry {
            Entry::None => true,
            Entry::Array => are_alike_by(a, b, |[_, _, count]| *count),
            Entry::Member => are_alike_by(a, b, |[name, _, offset]| (*name, *offset)),
            Entry::SecInfo => are_alike_by(a, b, |[_, offset, size]| (*offset, *size)),
            Entry::Param => are_alike_by(a, b, |[name, _]| *name),
            Entry::Word | Entry::Enumerator | Entry::Enumerator64 => a == b,
        }
    }

    const fn third(&self) -> Field {
        if self.third_is_type() {
            Field::Type
        } else {
            Field::Plain
        }
    }

    /// Puts another word in the place of each name and type of a whole record.
    #[inline]
    pub(crate) fn rewrite<E>(
        &self,
        record: &mut [u32],
        mut new: impl FnMut(Field, u32) -> Result<u32, E>,
    ) -> Result<(), E> {
        let Some((base, extra)) = record.split_first_chunk_mut::<BASE_WORDS>() else {
            return Ok(());
        };
        rewrite_entry(base, [Field::Name, Field::Plain, self.third()], &mut new)?;
        match *self.entry.fields() {
            [a, b, c] => {
                let mut entries = extra.as_chunks_mut().0.iter_mut();
                entries.try_for_each(|entry| rewrite_entry(entry, [a, b, c], &mut new))
            }
            [a, b] => {
                let mut entries = extra.as_chunks_mut().0.iter_mut();
                entries.try_for_each(|entry| rewrite_entry(entry, [a, b], &mut new))
            }
            // A single word is neither name nor type.
            _ => Ok(()),
        }
    }

    /// Tells the meaning of each word of a record.
    pub(crate) fn visit<E>(
        &self,
        base: [u32; BASE_WORDS],
        extra: &[Word],
        mut visit: impl FnMut(Field, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        for (field, word) in [Field::Name, Field::Plain, self.third()]
            .into_iter()
            .zip(base)
        {
            visit(field, word)?;
        }
        let fields = self.entry.fields();
        for entry in extra.chunks_exact(fields.len().max(1)) {
            for (field, word) in fields.iter().zip(entry) {
                visit(*field, raw::value(*word))?;
            }
        }
        Ok(())
    }
}

#[inline]
fn are_alike_by<const N: usize, T: PartialEq>(
    a: &[u32],
    b: &[u32],
    plain: impl Fn(&[u32; N]) -> T,
) -> bool {
    let mut entries = a.as_chunks().0.iter().zip(b.as_chunks().0);
    entries.all(|(a, b)| plain(a) == plain(b))
}

#[inline(always)]
fn rewrite_entry<const N: usize, E>(
    words: &mut [u32; N],
    fields: [Field; N],
    new: &mut impl FnMut(Field, u32) -> Result<u32, E>,
) -> Result<(), E> {
    for (word, field) in words.iter_mut().zip(fields) {
        if field != Field::Plain {
            *word = new(field, *word)?;
        }
    }
    Ok(())
}

/// The second word of a record: number of entries, kind, kind flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Info(pub(crate) u32);

impl Info {
    pub(crate) const fn new(kind: Kind, flag: bool, vlen: u32) -> Self {
        Self((flag as u32) << 31 | (kind as u32) << 24 | vlen & MAX_VLEN)
    }

    #[inline]
    pub(crate) const fn vlen(self) -> u32 {
        self.0 & MAX_VLEN
    }

    #[inline]
    pub(crate) const fn kind_number(self) -> u8 {
        (self.0 >> 24 & 0x7f) as u8
    }

    #[inline]
    pub(crate) fn kind(self) -> Option<Kind> {
        Kind::from_number(self.kind_number())
    }

    #[inline]
    pub(crate) const fn is(self, kind: Kind) -> bool {
        // A whole register is compared in fewer instructions than a byte of it.
        self.0 >> 24 & 0x7f == kind as u32
    }

    #[inline]
    pub(crate) const fn flag(self) -> bool {
        self.0 >> 31 != 0
    }

    #[inline]
    pub(crate) fn shape(self) -> &'static Shape {
        Shape::of(self.kind_number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_record_sizes_of_the_uapi() {
        // Bytes behind the first twelve, and bytes per entry, as in the kernel's layout table.
        let sizes = [
            (4, 0),
            (0, 0),
            (12, 0),
            (0, 12),
            (0, 12),
            (0, 8),
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 0),
            (0, 8),
            (4, 0),
            (0, 12),
            (0, 0),
            (4, 0),
            (0, 0),
            (0, 12),
        ];
        for (kind, (info, entry)) in Kind::ALL.into_iter().skip(1).zip(sizes) {
            let shape = Shape::of(kind as u8);
            assert!(shape.is_known());
            for vlen in [0, 1, 3] {
                let extra = shape.extra_words(vlen);
                assert_eq!(extra * 4, info + entry * vlen as usize, "{kind}");
            }
        }
        assert!(!Shape::of(0).is_known() && !Shape::of(20).is_known());
    }

    #[test]
    fn info_packs_and_unpacks() {
        let info = Info::new(Kind::Enum64, true, MAX_VLEN);
        assert_eq!(
            (info.kind(), info.flag(), info.vlen()),
            (Some(Kind::Enum64), true, MAX_VLEN)
        );
        assert_eq!(Info(0x7f00_0000).kind(), None);
    }
}
