//! The records that take part, those of the base included, as plain words.

use std::hash::Hasher;

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::kind::Kind;
use crate::raw;
use crate::shape::{BASE_WORDS, Field, Info};
use crate::strings::{Renamed, Strings};

/// All types by id. Two names are equal if their offsets are.
pub(super) struct Graph {
    /// The words of all records.
    words: Vec<u32>,
    /// Where each record starts, and where the last one ends.
    starts: Vec<u32>,
    pub(super) first_own: u32,
    /// The own strings of the result, and where those of the base are.
    pub(super) strings: Strings,
    pub(super) names: Renamed,
}

/// One type. Void has no words.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) words: &'a [u32],
}

impl Graph {
    pub(super) fn new(btf: &Btf) -> Result<Self> {
        let chain = || std::iter::successors(Some(btf), |btf| btf.base().map(|base| &**base));
        let mut chain: Vec<_> = chain().collect();
        chain.reverse();
        let word_count = chain.iter().map(|btf| btf.words().len()).sum();
        let mut words = Vec::with_capacity(word_count);
        let mut starts = Vec::with_capacity(btf.len() as usize + 1);
        starts.push(0);
        for btf in chain {
            let before = words.len() as u32;
            starts.extend(btf.starts.iter().map(|start| before + start));
            words.extend(btf.words().iter().map(|word| raw::value(*word)));
        }
        starts.push(words.len() as u32);
        let (strings, renamed_from) = if btf.has_unique_strings {
            (Strings::of(btf), btf.end_str())
        } else {
            (Strings::new(btf.base().cloned()), 0)
        };
        let mut graph = Self {
            words,
            starts,
            first_own: btf.start_id().0,
            strings,
            names: Renamed::new(btf, renamed_from, btf.start_str()),
        };
        graph.unify_names(btf)?;
        Ok(graph)
    }

    /// Gives equal names equal offsets.
    fn unify_names(&mut self, btf: &Btf) -> Result<()> {
        let Self {
            words,
            starts,
            strings,
            names,
            ..
        } = self;
        for bounds in starts.windows(2).skip(1) {
            let [start, end] = *bounds else {
                continue;
            };
            let record = words.get_mut(start as usize..end as usize);
            let record = record.unwrap_or_default();
            let shape = Record { words: record }.info().shape();
            if !shape.is_known() {
                return Err(Error::Unsupported {
                    what: "deduplicating BTF with a type of unknown kind",
                });
            }
            if !btf.has_unique_strings {
                shape.rewrite(record, |field, word| match field {
                    Field::Name => names.get(btf, word, strings),
                    _ => Ok(word),
                })?;
            }
        }
        Ok(())
    }

    /// The number of types, void included.
    pub(super) fn len(&self) -> u32 {
        self.starts.len().saturating_sub(1) as u32
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Record<'_> {
        let bounds = self.starts.get(id as usize..).unwrap_or_default();
        let [start, end, ..] = *bounds else {
            return Record { words: &[] };
        };
        let words = self.words.get(start as usize..end as usize);
        Record {
            words: words.unwrap_or_default(),
        }
    }

    pub(super) fn kind(&self, id: u32) -> Option<Kind> {
        self.get(id).kind()
    }

    /// What shows of a struct, union or typedef, and of the types next to it: what two must have in
    /// common to be the same.
    pub(super) fn hash_look(&self, id: u32, hasher: &mut impl Hasher) {
        let record = self.get(id);
        let ([name, info, third], members) = record.split();
        let shape = record.info().shape();
        hasher.write_u64(pair(name, info));
        hasher.write_u32(shape.plain_in_third(third));
        self.hash_outline(shape.type_in_third(third), hasher);
        for [name, ty, offset] in members.as_chunks().0 {
            hasher.write_u64(pair(*name, *offset));
            self.hash_outline(*ty, hasher);
        }
    }

    /// What two types must have in common, whichever is a declaration of the other.
    fn hash_outline(&self, mut id: u32, hasher: &mut impl Hasher) {
        for _ in 0..OUTLINE_DEPTH {
            let record = self.get(id);
            let ([name, info, third], entries) = record.split();
            match (record.kind(), entries) {
                (Some(Kind::Ptr | Kind::Const | Kind::Volatile | Kind::Restrict), _) => {
                    hasher.write_u32(info);
                    id = third;
                }
                (Some(Kind::Array), [element, _, count]) => {
                    hasher.write_u64(pair(info, *count));
                    id = *element;
                }
                _ => return hasher.write_u32(name),
            }
        }
    }

    /// The words of a type, to be changed.
    pub(super) fn words_mut(&mut self, id: u32) -> &mut [u32] {
        let bounds = self.starts.get(id as usize..).unwrap_or_default();
        let [start, end, ..] = *bounds else {
            return &mut [];
        };
        let words = self.words.get_mut(start as usize..end as usize);
        words.unwrap_or_default()
    }
}

/// How far pointers and arrays are followed for a hash.
const OUTLINE_DEPTH: u32 = 4;

fn pair(a: u32, b: u32) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}

impl Record<'_> {
    /// The first three words, and the entries. Void has zeros.
    #[inline]
    fn split(&self) -> ([u32; BASE_WORDS], &[u32]) {
        let split = self.words.split_first_chunk();
        split.map_or(([0; BASE_WORDS], &[]), |(base, extra)| (*base, extra))
    }

    /// What follows the first three words.
    pub(super) fn entries(&self) -> &[u32] {
        self.split().1
    }

    /// Whether two types are word by word the same, but for the types that they refer to.
    #[inline]
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        let (shape, (base, extra)) = (self.info().shape(), self.split());
        let ([name, info, third], other_extra) = other.split();
        let [this_name, this_info, this_third] = base;
        let is_alike =
            this_name == name && this_info == info && shape.plain_in_third(this_third ^ third) == 0;
        is_alike && shape.are_alike(extra, other_extra)
    }

    /// A type that this one refers to, by its number.
    pub(super) fn type_at(&self, index: usize) -> Option<u32> {
        let word = self.info().shape().type_word(index)?;
        self.words.get(word).copied()
    }

    pub(super) fn name(&self) -> u32 {
        self.words.first().copied().unwrap_or_default()
    }

    /// Its third word: a size or a type.
    pub(super) fn third(&self) -> u32 {
        self.words.get(2).copied().unwrap_or_default()
    }

    pub(super) fn info(&self) -> Info {
        Info(self.words.get(1).copied().unwrap_or_default())
    }

    /// Nothing for void.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.info().kind().filter(|kind| *kind != Kind::Void)
    }

    /// What it costs to look at it.
    pub(super) fn cost(&self) -> usize {
        self.words.len() + 1
    }

    /// Whether this is an enum, of whichever width.
    pub(super) fn is_enum(&self) -> bool {
        self.info().is(Kind::Enum) || self.info().is(Kind::Enum64)
    }

    /// Whether this is an enum that is only declared.
    pub(super) fn is_enum_fwd(&self) -> bool {
        self.is_enum() && self.info().vlen() == 0
    }

    /// Whether two enums are the same, or at least one is the other's declaration.
    pub(super) fn is_compatible_enum(&self, other: &Self) -> bool {
        if self.is_enum_fwd() || other.is_enum_fwd() {
            self.is_enum() && other.is_enum() && self.name() == other.name()
        } else {
            self.words == other.words
        }
    }

    /// Whether this is a declaration of the other, a struct or union.
    pub(super) fn is_fwd_of(&self, other: &Self) -> bool {
        let declared = if self.info().flag() {
            Kind::Union
        } else {
            Kind::Struct
        };
        self.info().is(Kind::Fwd) && other.info().is(declared)
    }
}
