//! Finding types by name.
//!
//! BTF that is sorted by name is searched as it lies. For other BTF a table from the hash of the
//! essential name to types is made when somebody first asks; functions and variables have their
//! own, since there are many of them and CO-RE asks for none.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::OnceLock;

use crate::btf::{Btf, RawType};
use crate::kind::Kind;
use crate::name;
use crate::raw;
use crate::shape::Info;
use crate::types::TypeId;

/// The ways to find own types by name, each made on first use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The index of the first named type, if the types are sorted by name.
    sorted: OnceLock<Option<u32>>,
    tables: [OnceLock<Table>; 2],
}

/// What shares a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// What a variable can be made of, and CO-RE relocates.
    Data = 0,
    /// Functions, variables, sections, tags, and kinds unknown.
    Symbol = 1,
}

impl Class {
    #[inline]
    fn of(info: Info) -> Self {
        // A kind has seven bits.
        CLASSES
            .get(usize::from(info.kind_number() & 0x7f))
            .copied()
            .unwrap_or(Self::Symbol)
    }
}

static CLASSES: [Class; 128] = {
    use Kind::{Enum, Enum64, Float, Fwd, Int, Struct, Typedef, Union};
    let mut classes = [Class::Symbol; 128];
    let mut rest: &mut [Class] = &mut classes;
    let mut number = 0;
    while let [class, behind @ ..] = rest {
        let mut kinds = [Int, Struct, Union, Enum, Fwd, Typedef, Float, Enum64].as_slice();
        while let [kind, others @ ..] = kinds {
            if *kind as u8 == number {
                *class = Class::Data;
            }
            kinds = others;
        }
        rest = behind;
        number += 1;
    }
    classes
};

/// Indices of own types by hash: bucket `b` is `members[ends[b - 1]..ends[b]]`, ascending.
#[derive(Debug)]
struct Table {
    ends: Vec<u32>,
    members: Vec<u32>,
}

impl Btf {
    /// The first type with this name and kind; types of the base come first.
    #[must_use]
    #[doc(alias = "btf__find_by_name_kind")]
    pub fn find(&self, name: &str, kind: Kind) -> Option<TypeId> {
        let in_base = self.base().and_then(|base| base.find(name, kind));
        in_base.or_else(|| self.find_own(name, kind))
    }

    /// The first type with this name, whatever its kind; types of the base come first.
    #[must_use]
    #[doc(alias = "btf__find_by_name")]
    pub fn find_any(&self, name: &str) -> Option<TypeId> {
        let in_base = self.base().and_then(|base| base.find_any(name));
        let own = |class| self.named(class, name, false).next();
        in_base.or_else(|| {
            [Class::Data, Class::Symbol]
                .into_iter()
                .filter_map(own)
                .min()
        })
    }

    /// As [`find`](Self::find), but not among the types of the base.
    #[must_use]
    #[doc(alias = "btf__find_by_name_kind_own")]
    pub fn find_own(&self, name: &str, kind: Kind) -> Option<TypeId> {
        self.named(Class::of(Info::new(kind, false, 0)), name, false)
            .find(|id| self.kind_of(*id) == Some(kind))
    }

    /// The own types that are the same to CO-RE by name: `essential` itself and its flavours, such
    /// as `task_struct___v2`. Types that a variable can be made of; no functions, no variables.
    pub fn essential_candidates<'a>(
        &'a self,
        essential: &'a str,
    ) -> impl Iterator<Item = TypeId> + use<'a> {
        self.named(Class::Data, essential, true)
    }

    fn named<'a>(
        &'a self,
        class: Class,
        name: &'a str,
        flavours: bool,
    ) -> impl Iterator<Item = TypeId> + use<'a> {
        let name = name.as_bytes();
        let matches = if flavours {
            name::is_flavour_of
        } else {
            name::is
        };
        self.slots(class, name, flavours)
            .filter_map(|index| Some((index, self.own_raw(index)?)))
            .filter(move |(_, ty)| {
                ty.name_off != 0
                    && Class::of(ty.info) == class
                    && matches(self.strings_from(ty.name_off), name)
            })
            .map(|(index, _)| TypeId(self.start_id.saturating_add(index)))
    }

    /// Indices among which all own types of that name are; there may be others.
    fn slots<'a>(
        &'a self,
        class: Class,
        name: &[u8],
        flavours: bool,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let (mut plain, mut flavoured, mut bucket) = (0..0, 0..0, &[][..]);
        // The empty name is nobody's, and nothing is named over the end of a string.
        if !name.is_empty() && !name.contains(&0) {
            match self
                .names
                .sorted
                .get_or_init(|| self.first_named_if_sorted())
            {
                Some(first) => {
                    plain = self.sorted_range(*first, name, name::is);
                    if flavours {
                        let prefix = [name, b"___"].concat();
                        flavoured = self.sorted_range(*first, &prefix, <[u8]>::starts_with);
                    }
                }
                None => {
                    let [data, symbol] = &self.names.tables;
                    let table = if class == Class::Data { data } else { symbol };
                    // A flavour of `a___b` is something else than the flavour `a___b`.
                    let len = if flavours {
                        name.len()
                    } else {
                        name::essential_len(name)
                    };
                    let essential = name.get(..len).unwrap_or(name);
                    let table = table.get_or_init(|| Table::build(self, class));
                    bucket = table.bucket(name::hash(essential));
                }
            }
        }
        bucket.iter().copied().chain(plain).chain(flavoured)
    }

    fn own_raw(&self, index: u32) -> Option<RawType<'_>> {
        RawType::at(self.words(), *self.starts.get(index as usize)?)
    }

    fn own_name(&self, index: u32) -> &[u8] {
        self.own_raw(index)
            .map_or(&[], |ty| self.strings_from(ty.name_off))
    }

    /// The types whose names start with `name` as `is` sees it, given that they lie together.
    fn sorted_range(&self, first: u32, name: &[u8], is: fn(&[u8], &[u8]) -> bool) -> Range<u32> {
        let end = self.starts.len() as u32;
        let start = partition(first..end, |index| {
            let found = self.own_name(index);
            // Bytes behind the NUL are of another string, but only what differs first counts.
            found
                .iter()
                .zip(name)
                .find(|(a, b)| a != b)
                .is_some_and(|(a, b)| a < b)
        });
        start..partition(start..end, |index| is(self.own_name(index), name))
    }

    /// Where the named types start, if the anonymous ones come first and the others in order.
    fn first_named_if_sorted(&self) -> Option<u32> {
        const SAMPLES: u32 = 32;
        let count = self.starts.len() as u32;
        let anonymous = |index| self.own_raw(index).is_some_and(|ty| ty.name_off == 0);
        let first = partition(0..count, anonymous);
        // Most BTF is not sorted, which a few comparisons show.
        let step = ((count - first) / SAMPLES).max(1) as usize;
        let in_order = |a, b| matches!(order(a, b), Some(Ordering::Less | Ordering::Equal));
        let mut before = self.own_name(first);
        for index in (first..count).step_by(step) {
            let name = self.own_name(index);
            if !in_order(before, name) {
                return None;
            }
            before = name;
        }
        let words = self.words();
        let mut before: (u32, &[u8]) = (0, &[0]);
        for (index, start) in self.starts.iter().enumerate() {
            let name_off = RawType::at(words, *start)?.name_off;
            if (index as u32) < first {
                if name_off != 0 {
                    return None;
                }
            } else if name_off != before.0 || name_off == 0 {
                let name = self.strings_from(name_off);
                if name_off == 0 || !in_order(before.1, name) {
                    return None;
                }
                before = (name_off, name);
            }
        }
        Some(first)
    }
}

impl Table {
    fn build(btf: &Btf, class: Class) -> Self {
        let (words, strings) = (btf.words(), btf.strings());
        let mut hashed: Vec<(u32, u32)> = Vec::new();
        for (index, start) in btf.starts.iter().enumerate() {
            let Some([name_off, info, ..]) = words.get(*start as usize..) else {
                continue;
            };
            let name_off = raw::value(*name_off);
            if name_off == 0 || Class::of(Info(raw::value(*info))) != class {
                continue;
            }
            let name = match name_off.checked_sub(btf.start_str) {
                Some(own) => strings.get(own as usize..).unwrap_or_default(),
                None => btf.strings_from(name_off),
            };
            hashed.push((name::hash_essential(name), index as u32));
        }
        // Counting sort: each bucket's end first holds its start, and moves as it fills.
        let mut ends = vec![0u32; hashed.len().next_power_of_two() + 1];
        let mask = ends.len() as u32 - 2;
        for (hash, _) in &hashed {
            if let Some(count) = ends.get_mut((hash & mask) as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut ends {
            sum += *count;
            *count = sum;
        }
        let mut members = vec![0; hashed.len()];
        for (hash, index) in hashed {
            if let Some(end) = ends.get_mut((hash & mask) as usize) {
                if let Some(slot) = members.get_mut(*end as usize) {
                    *slot = index;
                }
                *end += 1;
            }
        }
        ends.pop();
        Self { ends, members }
    }

    fn bucket(&self, hash: u32) -> &[u32] {
        let bucket = hash as usize & (self.ends.len() - 1);
        let start = bucket
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let range = start.map_or(0, |start| *start as usize)
            ..self.ends.get(bucket).map_or(0, |end| *end as usize);
        self.members.get(range).unwrap_or_default()
    }
}

/// The first index of the range for which `before` does not hold, given that it holds up to there.
fn partition(mut range: Range<u32>, before: impl Fn(u32) -> bool) -> u32 {
    while range.start < range.end {
        let middle = range.start + (range.end - range.start) / 2;
        if before(middle) {
            range.start = middle + 1;
        } else {
            range.end = middle;
        }
    }
    range.start
}

/// How two strings are ordered, as `strcmp` has it, or nothing if that takes too long to say.
fn order(a: &[u8], b: &[u8]) -> Option<Ordering> {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let limit = name::MAX_NAME / 8;
    for (x, y) in a_words.iter().zip(b_words).take(limit) {
        if x != y || x.contains(&0) {
            return Some(order_short(x, y));
        }
    }
    let same = a_words.len().min(b_words.len());
    (same < limit).then(|| {
        order_short(
            a.get(same * 8..).unwrap_or_default(),
            b.get(same * 8..).unwrap_or_default(),
        )
    })
}

fn order_short(a: &[u8], b: &[u8]) -> Ordering {
    for (x, y) in a.iter().zip(b) {
        if x != y || *x == 0 {
            return x.cmp(y);
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::BtfBuilder;
    use crate::types::{IntEncoding, Linkage};

    fn sorted(btf: &Btf) -> Option<u32> {
        btf.first_named_if_sorted()
    }

    /// Typedefs of an anonymous pointer by these names, and a function by each as well.
    fn named(names: &[&str]) -> Btf {
        let mut btf = BtfBuilder::new();
        let proto = btf.add_func_proto(TypeId::VOID, &[]).unwrap();
        let ptr = btf.add_ptr(TypeId::VOID).unwrap();
        for name in names {
            btf.add_typedef(name, ptr).unwrap();
            btf.add_func(name, Linkage::GLOBAL, proto).unwrap();
        }
        btf.finish().unwrap()
    }

    const NAMES: [&str; 10] = [
        "a",
        "a___1",
        "aB",
        "a____",
        "b___x",
        "b___x___y",
        "bb",
        "c",
        "eight_by",
        "eight_bytes",
    ];

    /// What the index must find, by looking at all types.
    fn scan(btf: &Btf, matches: impl Fn(&str) -> bool, kind: Kind) -> Vec<TypeId> {
        let is = |id: &TypeId| matches(btf.name(*id).unwrap()) && btf.kind_of(*id) == Some(kind);
        btf.own_ids().filter(is).collect()
    }

    #[test]
    fn sorted_and_hashed_search_find_the_same_as_a_scan() {
        let mut in_order = NAMES;
        in_order.sort_unstable();
        let mut reversed = in_order;
        reversed.reverse();
        for (names, is_sorted) in [(in_order, true), (reversed, false)] {
            let btf = named(&names);
            assert_eq!(sorted(&btf), is_sorted.then_some(2));
            for query in NAMES
                .into_iter()
                .chain(["", "zz", "a_", "b", "eight_byte", "A"])
            {
                let is = |name: &str| name == query && !name.is_empty();
                for kind in [Kind::Typedef, Kind::Func] {
                    let expected = scan(&btf, is, kind).first().copied();
                    assert_eq!(btf.find(query, kind), expected, "{query} {kind}");
                }
                assert_eq!(btf.find(query, Kind::Struct), None);
                let first = btf.own_ids().find(|id| is(btf.name(*id).unwrap()));
                assert_eq!(btf.find_any(query), first, "{query}");
                let essential = |name: &str| name::essential_len(name.as_bytes());
                let flavour = |name: &str| is(&name[..essential(name)]);
                let mut found: Vec<_> = btf.essential_candidates(query).collect();
                found.sort_unstable();
                assert_eq!(found, scan(&btf, flavour, Kind::Typedef), "{query}");
            }
        }
    }

    #[test]
    fn lowest_id_wins_among_equal_names() {
        for first in ["a", "z"] {
            let mut btf = BtfBuilder::new();
            btf.add_fwd(first, false).unwrap();
            let struct_ = btf.add_struct("m", 0, &[]).unwrap();
            btf.add_struct("m", 4, &[]).unwrap();
            let int = btf.add_int("m", 4, IntEncoding::SIGNED).unwrap();
            let btf = btf.finish().unwrap();
            assert_eq!(btf.find("m", Kind::Struct), Some(struct_));
            assert_eq!(btf.find("m", Kind::Int), Some(int));
            assert_eq!(btf.find_any("m"), Some(struct_));
            assert_eq!(btf.essential_candidates("m").count(), 3);
        }
    }

    #[test]
    fn nul_in_a_query_finds_nothing() {
        let btf = named(&["ab", "cd"]);
        assert_eq!(btf.find("ab\0cd", Kind::Typedef), None);
        assert_eq!(btf.find("ab\0", Kind::Typedef), None);
    }

    #[test]
    fn order_is_that_of_strcmp() {
        let pairs = [
            "",
            "a",
            "ab",
            "abcdefgh",
            "abcdefgha",
            "abcdefghb",
            "b",
            "\u{ff}",
        ];
        for a in pairs {
            for b in pairs {
                for pad in [1, 20] {
                    let terminated = |name: &str| [name.as_bytes(), &vec![0; pad]].concat();
                    let found = order(&terminated(a), &terminated(b));
                    assert_eq!(found, Some(a.cmp(b)), "{a} {b}");
                }
            }
        }
        let endless = vec![b'x'; 10_000];
        assert_eq!(order(&endless, &endless), None);
    }

    #[test]
    fn shared_long_strings_do_not_take_for_ever() {
        // Each type's name starts one byte further into the same long string.
        const LEN: u32 = 200_000;
        let mut strings = vec![b'_'; LEN as usize];
        strings[0] = 0;
        strings.push(0);
        let types: Vec<u8> = (1..LEN)
            .flat_map(|name| [name, (Kind::Fwd as u32) << 24, 0])
            .flat_map(u32::to_ne_bytes)
            .collect();
        let btf = Btf::parse(crate::raw::Header::assemble(&types, &[], &strings).unwrap()).unwrap();
        let start = std::time::Instant::now();
        assert_eq!(btf.find("x", Kind::Fwd), None);
        assert_eq!(btf.find("_", Kind::Fwd), Some(TypeId(LEN - 1)));
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
