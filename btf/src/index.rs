//! Finding types by name.
//!
//! Types that a variable can have go into a table, from the hash of the essential name to types,
//! when somebody first asks. Functions and other symbols are many times more, and CO-RE asks for
//! none: where BTF is sorted by name they are searched as they lie, else they get a table too.

use std::cmp::Ordering;
use std::ops::Range;

use crate::btf::{Btf, RawType};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::name;
use crate::raw;
use crate::shape::{Class, Info, Shape};
use crate::table::{Names, Symbols, Table};
use crate::types::Type;

/// So many types are searched one by one.
const FEW: usize = 64;

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
        in_base.or_else(|| {
            let data = self.data_named(name).next();
            data.into_iter()
                .chain(self.symbols_named(name).next())
                .min()
        })
    }

    /// As [`find`](Self::find), but not among the types of the base.
    #[must_use]
    #[doc(alias = "btf__find_by_name_kind_own")]
    pub fn find_own(&self, name: &str, kind: Kind) -> Option<TypeId> {
        // The names of a few types are sooner read than put into a table.
        match self.starts.len() {
            0..=FEW => self.search(name, kind),
            _ => self.look_up(name, kind),
        }
    }

    fn search(&self, name: &str, kind: Kind) -> Option<TypeId> {
        let can_match = !name.is_empty() && !name.contains('\0');
        let is_named =
            |ty: &Type<'_>| name::is(self.strings_from(ty.name_off), name.as_bytes()) && can_match;
        self.own_of(kind).find(is_named).map(|ty| ty.id)
    }

    fn look_up(&self, name: &str, kind: Kind) -> Option<TypeId> {
        let is_kind = |id: &TypeId| self.kind_of(*id) == Some(kind);
        match Shape::of(kind as u8).class() {
            Class::Data => self.data_named(name).find(is_kind),
            Class::Symbol => self.symbols_named(name).find(is_kind),
        }
    }

    /// The own types that are the same to CO-RE by name: `essential` itself and its flavours, such
    /// as `task_struct___v2`. Types that a variable can have; no functions, no variables.
    pub fn essential_candidates<'a>(
        &'a self,
        essential: &'a str,
    ) -> impl Iterator<Item = TypeId> + use<'a> {
        let bucket = self.data_table().bucket(essential.as_bytes());
        self.matching(bucket.iter().copied(), essential, name::is_flavour_of)
    }

    /// All types of this name that a variable can have, those of the base first.
    pub(crate) fn all_named(&self, name: &str) -> Vec<TypeId> {
        let mut all = self
            .base()
            .map_or_else(Vec::new, |base| base.all_named(name));
        all.extend(self.data_named(name));
        all
    }

    fn data_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = TypeId> + use<'a> {
        let bucket = self.data_table().bucket(name::essential(name.as_bytes()));
        self.matching(bucket.iter().copied(), name, name::is)
    }

    fn symbols_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = TypeId> + use<'a> {
        let bytes = name.as_bytes();
        let (range, bucket) = match self.names.symbols.get_or_init(|| self.index_symbols()) {
            Symbols::Sorted(first) => (self.sorted_range(*first, bytes), &[][..]),
            Symbols::Table(table) => (0..0, table.bucket(name::essential(bytes))),
        };
        self.matching(bucket.iter().copied().chain(range), name, name::is)
            .filter(|id| {
                self.raw(*id)
                    .is_some_and(|ty| ty.info.shape().class() == Class::Symbol)
            })
    }

    /// Those of the candidates whose names really match.
    fn matching<'a, I: Iterator<Item = u32>>(
        &'a self,
        candidates: I,
        name: &'a str,
        matches: fn(&[u8], &[u8]) -> bool,
    ) -> impl Iterator<Item = TypeId> + use<'a, I> {
        // The empty name is nobody's, and nothing is named over the end of a string.
        let can_match = !name.is_empty() && !name.contains('\0');
        candidates
            .filter(move |index| can_match && matches(self.own_name(*index), name.as_bytes()))
            .map(|index| TypeId(self.start_id.saturating_add(index)))
    }

    fn data_table(&self) -> &Table {
        let Names {
            data, data_table, ..
        } = &self.names;
        data_table.get_or_init(|| self.table(data.iter().copied()))
    }

    fn index_symbols(&self) -> Symbols {
        if let Some(first) = self.first_named_if_sorted() {
            return Symbols::Sorted(first);
        }
        let words = self.words();
        let is_symbol = |start: &u32| match words.get(*start as usize..) {
            Some([name, info, ..]) => {
                let class = Info(raw::value(*info)).shape().class();
                class == Class::Symbol && raw::value(*name) != 0
            }
            _ => false,
        };
        let all = (0u32..).zip(&self.starts);
        let symbols = all
            .filter(|(_, start)| is_symbol(start))
            .map(|(index, _)| index);
        Symbols::Table(self.table(symbols))
    }

    /// A table of these own types, by their essential names.
    fn table(&self, types: impl Iterator<Item = u32>) -> Table {
        let (words, strings) = (self.words(), self.strings());
        let mut hashed = Vec::with_capacity(types.size_hint().0);
        for index in types {
            let start = self.starts.get(index as usize);
            let Some(name) = start.and_then(|start| words.get(*start as usize)) else {
                continue;
            };
            let offset = raw::value(*name);
            let name = match offset.checked_sub(self.start_str) {
                Some(own) => strings.get(own as usize..).unwrap_or_default(),
                None => self.strings_from(offset),
            };
            hashed.push((name::hash_essential(name), index));
        }
        Table::new(hashed)
    }

    /// The bytes from an own type's name on.
    fn own_name(&self, index: u32) -> &[u8] {
        let start = self.starts.get(index as usize);
        let ty = start.and_then(|start| RawType::at(self.words(), *start));
        ty.map_or(&[], |ty| self.strings_from(ty.name_off))
    }

    /// The types with this name, given that all types from `first` on are sorted.
    fn sorted_range(&self, first: u32, name: &[u8]) -> Range<u32> {
        let end = self.starts.len() as u32;
        let start = partition(first..end, |index| {
            let found = self.own_name(index);
            // Bytes behind the NUL are of another string, but only what differs first counts.
            let differ = found.iter().zip(name).find(|(a, b)| a != b);
            differ.is_some_and(|(a, b)| a < b)
        });
        start..partition(start..end, |index| name::is(self.own_name(index), name))
    }

    /// Where the named types start, if the anonymous ones come first and the others in order.
    fn first_named_if_sorted(&self) -> Option<u32> {
        const SAMPLES: u32 = 32;
        let count = self.starts.len() as u32;
        let first = partition(0..count, |index| self.own_name(index).first() == Some(&0));
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
        let (words, strings) = (self.words(), self.strings());
        let name_off = |start: &u32| {
            let word = words.get(*start as usize);
            word.map_or(0, |word| raw::value(*word))
        };
        let (anonymous, named) = self.starts.split_at_checked(first as usize)?;
        if anonymous.iter().any(|start| name_off(start) != 0) {
            return None;
        }
        let mut before: (u32, &[u8]) = (0, &[0]);
        for start in named {
            let offset = name_off(start);
            if offset == before.0 {
                continue;
            }
            let name = match offset.checked_sub(self.start_str) {
                Some(own) => strings.get(own as usize..).unwrap_or_default(),
                None => self.strings_from(offset),
            };
            if offset == 0 || !in_order(before.1, name) {
                return None;
            }
            before = (offset, name);
        }
        Some(first)
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
#[inline]
fn order(a: &[u8], b: &[u8]) -> Option<Ordering> {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let limit = name::MAX_NAME / 8;
    for (x, y) in a_words.iter().zip(b_words).take(limit) {
        let (x, y) = (u64::from_le_bytes(*x), u64::from_le_bytes(*y));
        let (end, differ) = (name::zero_bytes(x), x ^ y);
        if differ == 0 && end == 0 {
            continue;
        }
        // The lowest byte is the first, and what differs behind a common NUL does not count.
        let equal = differ == 0 || end != 0 && end.trailing_zeros() < differ.trailing_zeros() & !7;
        let by_bytes = x.swap_bytes().cmp(&y.swap_bytes());
        return Some(if equal { Ordering::Equal } else { by_bytes });
    }
    let same = a_words.len().min(b_words.len());
    let rest = |bytes| <[u8]>::get(bytes, same * 8..).unwrap_or_default();
    (same < limit).then(|| order_short(rest(a), rest(b)))
}

/// The same byte by byte, for the end of the string section.
#[cold]
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
                    assert_eq!(btf.look_up(query, kind), expected, "{query} {kind}");
                    assert_eq!(btf.search(query, kind), expected, "{query} {kind}");
                }
                assert_eq!(btf.look_up(query, Kind::Struct), None);
                assert_eq!(btf.search(query, Kind::Struct), None);
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
            for find in [Btf::search, Btf::look_up] {
                assert_eq!(find(&btf, "m", Kind::Struct), Some(struct_));
                assert_eq!(find(&btf, "m", Kind::Int), Some(int));
            }
            assert_eq!(btf.find_any("m"), Some(struct_));
            assert_eq!(btf.essential_candidates("m").count(), 3);
        }
    }

    #[test]
    fn nul_in_a_query_finds_nothing() {
        let btf = named(&["ab", "cd"]);
        for find in [Btf::search, Btf::look_up] {
            assert_eq!(find(&btf, "ab\0cd", Kind::Typedef), None);
            assert_eq!(find(&btf, "ab\0", Kind::Typedef), None);
        }
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
        const LEN: u32 = 50_000;
        let mut strings = vec![b'_'; LEN as usize];
        strings[0] = 0;
        strings.push(0);
        let types: Vec<u8> = (1..LEN)
            .flat_map(|name| [name, (Kind::Fwd as u32) << 24, 0])
            .flat_map(u32::to_ne_bytes)
            .collect();
        let btf = Btf::parse(raw::Header::assemble(&types, &[], &strings).unwrap()).unwrap();
        assert_eq!(btf.find("x", Kind::Fwd), None);
        assert_eq!(btf.find("_", Kind::Fwd), Some(TypeId(LEN - 1)));
    }
}
