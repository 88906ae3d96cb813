//! Reading BTF: one pass over the types that both finds and checks them.
//!
//! The pass only collects the largest name offset and type id it meets. If one of them is out of
//! range, a second and exact pass says where; good BTF never pays for it.

use std::sync::{Arc, OnceLock};

use crate::btf::{Btf, RawType};
use crate::data::BtfData;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw::{self, Header, MAX_ID, Word};
use crate::shape::{BASE_WORDS, Class, Entry, Field, Info};
use crate::table::Names;

impl Btf {
    /// Reads raw BTF, the content of a `.BTF` section or of `/sys/kernel/btf/vmlinux`.
    ///
    /// Either byte order will do. BTF of this machine's order is kept where it is, the other is
    /// converted into a copy. Every offset and id in it is checked, so later look-ups cannot meet
    /// a bad one; loops of references are not checked here.
    ///
    /// # Errors
    /// What is malformed, and where; see [`Error`].
    #[doc(alias = "btf__new")]
    pub fn parse(data: impl Into<BtfData>) -> Result<Self> {
        parse(data.into(), None)
    }

    /// Reads raw BTF that continues `base`, as that of a kernel module continues vmlinux's.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    #[doc(alias = "btf__new_split")]
    pub fn parse_split(data: impl Into<BtfData>, base: Arc<Self>) -> Result<Self> {
        parse(data.into(), Some(base))
    }
}

fn parse(data: BtfData, base: Option<Arc<Btf>>) -> Result<Btf> {
    let (mut btf, foreign) = open(data, base)?;
    let scan = Scan::run(&btf, foreign)?;
    let largest = scan.largest;
    scan.into_btf(&mut btf)?;
    // Void has offset 0 for a name even where there are no strings at all.
    let names_fit = largest.name < btf.names_end();
    if !names_fit || largest.ty >= btf.len() {
        let mut ids = btf.own_ids();
        ids.try_for_each(|id| btf.check_references(id))?;
    }
    Ok(btf)
}

/// The header and the strings, checked, and the types as they are; and whether all was converted.
fn open(mut data: BtfData, base: Option<Arc<Btf>>) -> Result<(Btf, bool)> {
    let header = Header::parse(data.bytes())?;
    let foreign = !header.endian.is_host();
    if foreign {
        let mut copy = data.bytes().to_vec();
        header.swap(&mut copy);
        data = copy.into();
    }
    let btf = Btf {
        data,
        start_id: base.as_ref().map_or(1, |base| base.len()),
        start_str: base.as_ref().map_or(0, |base| base.end_str()),
        header,
        starts: Vec::new(),
        base,
        pointer_size: OnceLock::new(),
        names: Names::new(Vec::new()),
        has_unique_strings: false,
    };
    check_strings(&btf)?;
    Ok((btf, foreign))
}

fn check_strings(btf: &Btf) -> Result<()> {
    let strings = btf.strings();
    let len = strings.len() as u64;
    let fault = |problem| Err(Error::Strings { len, problem });
    if u64::from(btf.start_str) + len > u64::from(MAX_ID) {
        return Err(Error::TooLarge { what: "strings" });
    }
    match (strings.first(), strings.last()) {
        (None, _) if btf.base.is_some() => Ok(()),
        (None, _) => fault("is empty"),
        (_, Some(last)) if *last != 0 => fault("does not end with a NUL"),
        (Some(first), _) if *first != 0 && btf.base.is_none() => fault("does not start with a NUL"),
        _ => Ok(()),
    }
}

/// What the pass over all types found out.
struct Scan {
    /// The first word of each type, of which there are `count`, and room for more.
    starts: Vec<u32>,
    count: usize,
    /// The named types of `Class::Data`, noted here to spare the index another pass.
    data: Vec<u32>,
    largest: Largest,
}

/// The largest name offset and type id so far.
#[derive(Clone, Copy)]
struct Largest {
    name: u32,
    /// `u32::MAX` also if a FUNC refers to something that was not yet known to be a FUNC_PROTO.
    ty: u32,
}

impl Scan {
    fn run(btf: &Btf, foreign: bool) -> Result<Self> {
        let words = btf.words();
        let mut scan = Self {
            // No type takes fewer words. What is not needed is never touched, and given back in the end.
            starts: vec![0; words.len() / BASE_WORDS],
            count: 0,
            data: Vec::new(),
            largest: Largest { name: 0, ty: 0 },
        };
        let mut at = 0;
        loop {
            at = scan.known_kinds(btf, words, at);
            let rest = words.get(at..).unwrap_or_default();
            let Some(ty) = RawType::at(rest, 0) else {
                break;
            };
            let fault = Fault {
                btf,
                index: scan.count,
                at,
            };
            let extra = if ty.info.shape().is_known() {
                ty.info.shape().extra_words(ty.info.vlen())
            } else {
                unknown_words(btf, ty.info, foreign).ok_or_else(|| fault.unknown_kind(ty.info))?
            };
            if extra > ty.rest.len() {
                return Err(fault.truncated(extra, rest.len() as u64 * 4));
            }
            if let Some(start) = scan.starts.get_mut(scan.count) {
                *start = at as u32;
            }
            scan.count += 1;
            scan.largest = scan.largest.and(ty.name_off, 0);
            at += BASE_WORDS + extra;
        }
        match btf.header.types.len() - at * 4 {
            0 => Ok(scan),
            left => Err(Fault {
                btf,
                index: scan.count,
                at,
            }
            .truncated(0, left as u64)),
        }
    }

    /// Makes what was found part of the BTF.
    fn into_btf(mut self, btf: &mut Btf) -> Result<()> {
        let end = u64::from(btf.start_id) + self.count as u64;
        if end > u64::from(MAX_ID) {
            return Err(Error::TooLarge { what: "types" });
        }
        self.starts.truncate(self.count);
        self.starts.shrink_to_fit();
        btf.starts = self.starts;
        btf.names = Names::new(self.data);
        Ok(())
    }

    /// Takes in all types from this word on, up to one that is not known or not whole.
    // By itself the loop gets by with the registers that there are.
    #[inline(never)]
    fn known_kinds(&mut self, btf: &Btf, words: &[Word], at: usize) -> usize {
        let Largest { mut name, mut ty } = self.largest;
        let starts = self.starts.as_mut_slice();
        let first = btf.start_id;
        let mut count = self.count;
        let mut rest = words.get(at..).unwrap_or_default();
        let end = loop {
            let at = words.len() - rest.len();
            let (Some((record, tail)), Some(start)) = (
                rest.split_first_chunk::<BASE_WORDS>(),
                starts.get_mut(count),
            ) else {
                break at;
            };
            *start = at as u32;
            let [name_off, info, third] = record.map(raw::value);
            let info = Info(info);
            rest = tail;
            // Two thirds of a kernel's types are functions, so these go a short way.
            if info.is(Kind::Func) {
                let before = starts.get(..count).unwrap_or_default();
                if !is_proto(btf, first, before, words, third) {
                    ty = u32::MAX;
                }
            } else if info.is(Kind::FuncProto) {
                let Some((params, next)) = rest.split_at_checked(2 * info.vlen() as usize) else {
                    break at;
                };
                rest = next;
                ty = ty.max(third);
                for [name_off, of] in params.as_chunks::<2>().0 {
                    name = name.max(raw::value(*name_off));
                    ty = ty.max(raw::value(*of));
                }
            } else {
                let shape = info.shape();
                let split = rest.split_at_checked(shape.extra_words(info.vlen()));
                let Some((extra, next)) = split.filter(|_| shape.is_known()) else {
                    break at;
                };
                rest = next;
                if name_off != 0 && shape.class() == Class::Data {
                    self.data.push(count as u32);
                }
                ty = ty.max(shape.type_in_third(third));
                if !extra.is_empty() {
                    Largest { name, ty } = Largest { name, ty }.with(extra, shape.entry());
                }
            }
            name = name.max(name_off);
            count += 1;
        };
        self.largest = Largest { name, ty };
        self.count = count;
        end
    }
}

impl Largest {
    /// The largest when the words behind a record are taken in as well.
    #[inline(never)]
    fn with(self, extra: &[Word], entry: Entry) -> Self {
        match entry {
            Entry::None | Entry::Word => self,
            Entry::Array => self.over(extra, |[elem, index, _]| (0, elem.max(index))),
            Entry::Member => self.over(extra, |[name, ty, _]| (name, ty)),
            Entry::Param => self.over(extra, |[name, ty]| (name, ty)),
            Entry::SecInfo => self.over(extra, |[ty, _, _]| (0, ty)),
            Entry::Enumerator => self.over(extra, |[name, _]| (name, 0)),
            Entry::Enumerator64 => self.over(extra, |[name, _, _]| (name, 0)),
        }
    }

    #[inline]
    fn over<const N: usize>(self, extra: &[Word], pick: fn([u32; N]) -> (u32, u32)) -> Self {
        extra.as_chunks::<N>().0.iter().fold(self, |this, entry| {
            let (name, ty) = pick(entry.map(raw::value));
            this.and(name, ty)
        })
    }

    #[inline]
    fn and(self, name: u32, ty: u32) -> Self {
        Self {
            name: self.name.max(name),
            ty: self.ty.max(ty),
        }
    }
}

/// Whether a type that was already passed is a FUNC_PROTO.
#[inline]
fn is_proto(btf: &Btf, first: u32, starts: &[u32], words: &[Word], id: u32) -> bool {
    let Some(own) = id.checked_sub(first) else {
        return btf.kind_of(TypeId(id)) == Some(Kind::FuncProto);
    };
    let start = starts.get(own as usize);
    let info = start.and_then(|start| words.get(*start as usize + 1));
    info.is_some_and(|info| Info(raw::value(*info)).is(Kind::FuncProto))
}

/// Words behind the first three of a kind that only a layout table describes.
fn unknown_words(btf: &Btf, info: Info, foreign: bool) -> Option<usize> {
    // Without knowing the fields nobody can turn them around.
    if foreign {
        return None;
    }
    let mut owner = btf;
    let layout = loop {
        match owner.layout() {
            [] => owner = owner.base.as_deref()?,
            layout => break layout,
        }
    };
    let [extra, entry, ..] = *layout.get(usize::from(info.kind_number()))?;
    let (extra, entry) = (usize::from(extra), usize::from(entry));
    (extra.is_multiple_of(4) && entry.is_multiple_of(4))
        .then(|| (extra + entry * info.vlen() as usize) / 4)
}

/// Where the pass stands when it meets something wrong.
struct Fault<'a> {
    btf: &'a Btf,
    index: usize,
    at: usize,
}

impl Fault<'_> {
    fn id(&self) -> TypeId {
        TypeId(self.btf.start_id.saturating_add(self.index as u32))
    }

    fn unknown_kind(&self, info: Info) -> Error {
        Error::UnknownKind {
            id: self.id(),
            offset: self.at as u64 * 4,
            kind: info.kind_number(),
        }
    }

    fn truncated(&self, extra_words: usize, left: u64) -> Error {
        let needed = (BASE_WORDS as u64 + extra_words as u64) * 4;
        Error::TruncatedType {
            id: self.id(),
            offset: self.at as u64 * 4,
            needed,
            left,
        }
    }
}

impl Btf {
    /// The first offset that is no name.
    fn names_end(&self) -> u32 {
        self.end_str().max(1)
    }

    /// Looks at every name and type that an own type refers to; the first bad one is the error.
    #[cold]
    pub(crate) fn check_references(&self, id: TypeId) -> Result<()> {
        let Some(record) = self.raw(id) else {
            return Ok(());
        };
        let offset = self.record_offset(id);
        let mut word = 0;
        let base = [record.name_off, record.info.0, record.third];
        let shape = record.info.shape();
        shape.visit(base, record.extra(), |field, found| {
            let limit = match field {
                Field::Name => self.names_end(),
                Field::Type => self.len(),
                Field::Plain => u32::MAX,
            };
            word += 1;
            if found < limit || field == Field::Plain {
                return Ok(());
            }
            let word = word - 1;
            Err(match field {
                Field::Type => Error::TypeOutOfRange {
                    id,
                    offset,
                    word,
                    found: TypeId(found),
                    limit,
                },
                _ => Error::NameOutOfRange {
                    id,
                    offset,
                    word,
                    found,
                    limit,
                },
            })
        })?;
        let found = TypeId(record.third);
        if record.info.is(Kind::Func) && self.kind_of(found) != Some(Kind::FuncProto) {
            return Err(Error::NotFuncProto { id, offset, found });
        }
        Ok(())
    }

    /// As [`parse`](Self::parse), but what types refer to may not exist, and the types end where one
    /// cannot be read; the error says why.
    pub(crate) fn parse_unchecked(
        data: BtfData,
        base: Option<Arc<Self>>,
    ) -> Result<(Self, Option<Error>)> {
        let (mut btf, foreign) = open(data, base)?;
        let (scan, fault) = match Scan::run(&btf, foreign) {
            Ok(scan) => (scan, None),
            Err(error) => {
                let readable = match error {
                    Error::TruncatedType { offset, .. } | Error::UnknownKind { offset, .. } => {
                        offset
                    }
                    _ => 0,
                };
                btf.header.types.end = btf.header.types.start + readable as usize;
                (Scan::run(&btf, foreign)?, Some(error))
            }
        };
        scan.into_btf(&mut btf)?;
        Ok((btf, fault))
    }
}

#[cfg(test)]
mod tests;
