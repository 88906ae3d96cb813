//! A whole BTF: its types by id, its strings by offset.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::data::BtfData;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::{Kind, Kinds};
use crate::raw::{self, Endian, Header, Word};
use crate::shape::{BASE_WORDS, Info};
use crate::table::Names;
use crate::types::Type;
use crate::view::View;

/// BTF that was read and checked; it never changes, see [`BtfBuilder`](crate::BtfBuilder).
///
/// A split BTF (of a kernel module, say) holds only what its base does not, and goes on numbering
/// types and strings where the base ends; every look-up here sees both.
#[derive(Debug)]
#[doc(alias = "btf")]
pub struct Btf {
    pub(crate) data: BtfData,
    pub(crate) header: Header,
    /// Where each own type starts, in words from the start of the type section.
    pub(crate) starts: Vec<u32>,
    pub(crate) base: Option<Arc<Self>>,
    pub(crate) start_id: u32,
    pub(crate) start_str: u32,
    pub(crate) pointer_size: OnceLock<u32>,
    pub(crate) names: Names,
    /// Whether equal names are known to have equal offsets.
    pub(crate) has_unique_strings: bool,
}

/// One record as it lies in the section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawType<'a> {
    pub(crate) name_off: u32,
    pub(crate) info: Info,
    pub(crate) third: u32,
    /// All words behind the first three, up to the end of the section.
    pub(crate) rest: &'a [Word],
}

impl Btf {
    /// The byte order that the BTF was in when it was read, and that its copies and changed forms
    /// keep: that of the machine it describes. In memory it is always the host's.
    #[must_use]
    #[doc(alias = "btf__endianness")]
    pub fn endian(&self) -> Endian {
        self.header.endian
    }

    /// The BTF that this one continues.
    #[must_use]
    #[doc(alias = "btf__base_btf")]
    pub fn base(&self) -> Option<&Arc<Self>> {
        self.base.as_ref()
    }

    /// The id of the first own type: 1, or the number of types of the base.
    #[must_use]
    pub fn start_id(&self) -> TypeId {
        TypeId(self.start_id)
    }

    /// Number of types, void and those of the base included: the first id that is free.
    #[must_use]
    #[doc(alias = "btf__type_cnt")]
    #[expect(clippy::len_without_is_empty, reason = "void is always there")]
    pub fn len(&self) -> u32 {
        // The parser checked that the sum fits.
        self.start_id.saturating_add(self.starts.len() as u32)
    }

    /// The ids of the types that the base does not have, ascending; void is not among them.
    pub fn own_ids(&self) -> impl DoubleEndedIterator<Item = TypeId> + use<> {
        (self.start_id..self.len()).map(TypeId)
    }

    /// The types that the base does not have, by ascending ids; void is not among them.
    pub fn own_types(&self) -> impl Iterator<Item = Type<'_>> {
        let view = View::of(self);
        // Each of them has a record: the parser went over all.
        self.own_ids().filter_map(move |id| view.ty(id).ok())
    }

    /// Those of them that are of one kind.
    pub fn own_of(&self, kind: Kind) -> impl Iterator<Item = Type<'_>> {
        let of_kind = self.own_infos().filter(move |(_, info)| info.is(kind));
        of_kind.filter_map(|(id, _)| self.ty(id).ok())
    }

    /// The kinds that there are among them.
    #[must_use]
    pub fn own_kinds(&self) -> Kinds {
        self.own_infos()
            .filter_map(|(_, info)| info.kind())
            .collect()
    }

    /// What is read of a record to know its kind, and no more.
    fn own_infos(&self) -> impl Iterator<Item = (TypeId, Info)> {
        let words = self.words();
        let infos = self
            .starts
            .iter()
            .map(|start| words.get(*start as usize + 1));
        self.own_ids()
            .zip(infos)
            .filter_map(|(id, info)| Some((id, Info(raw::value(*info?)))))
    }

    /// All ids, ascending, those of the base first; void is not among them.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TypeId> + use<> {
        (1..self.len()).map(TypeId)
    }

    /// The type with this id; id 0 is void.
    ///
    /// # Errors
    /// [`Error::NoType`] if there is none.
    #[doc(alias = "btf__type_by_id")]
    pub fn ty(&self, id: TypeId) -> Result<Type<'_>> {
        Type::of(id, || self.raw(id)).ok_or_else(|| Error::NoType {
            id,
            len: self.len(),
        })
    }

    /// The kind of a type, without reading the rest of it.
    #[inline(never)]
    pub(crate) fn kind_of(&self, id: TypeId) -> Option<Kind> {
        if id.is_void() {
            Some(Kind::Void)
        } else {
            self.raw(id)?.info.kind()
        }
    }

    pub(crate) fn raw(&self, id: TypeId) -> Option<RawType<'_>> {
        let mut btf = self;
        while id.0 < btf.start_id {
            btf = btf.base.as_deref()?;
        }
        let start = *btf.starts.get((id.0 - btf.start_id) as usize)?;
        RawType::at(btf.words(), start)
    }

    /// Where a type's record starts, in bytes from the start of the type section.
    pub(crate) fn record_offset(&self, id: TypeId) -> u64 {
        let own = id.0.checked_sub(self.start_id);
        let start = own.and_then(|own| self.starts.get(own as usize));
        u64::from(start.copied().unwrap_or_default()) * 4
    }

    /// The type section as words.
    pub(crate) fn words(&self) -> &[Word] {
        raw::words(self.part(&self.header.types))
    }

    /// Whether it tells the lengths of its own records (the layout section, 7.1).
    #[must_use]
    pub fn has_layout(&self) -> bool {
        !self.header.layout.is_empty()
    }

    pub(crate) fn layout(&self) -> &[Word] {
        raw::words(self.part(&self.header.layout))
    }

    /// The own strings.
    pub(crate) fn strings(&self) -> &[u8] {
        self.part(&self.header.strings)
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.data.bytes().get(range.clone()).unwrap_or_default()
    }

    /// The first string offset that neither this BTF nor its base has.
    #[must_use]
    pub fn end_str(&self) -> u32 {
        // The parser checked that the sum fits.
        self.start_str
            .saturating_add(self.header.strings.len() as u32)
    }

    /// The first own string offset: 0, or where the strings of the base end.
    #[must_use]
    pub fn start_str(&self) -> u32 {
        self.start_str
    }

    /// The strings from this offset on, not cut at the first NUL.
    pub(crate) fn strings_from(&self, offset: u32) -> &[u8] {
        let mut btf = self;
        while offset < btf.start_str {
            let Some(base) = btf.base.as_deref() else {
                return &[];
            };
            btf = base;
        }
        btf.strings()
            .get((offset - btf.start_str) as usize..)
            .unwrap_or_default()
    }

    /// The string at an offset, without its NUL.
    ///
    /// # Errors
    /// [`Error::NoString`] if the offset is past the strings.
    #[doc(alias = "btf__str_by_offset")]
    pub fn str_at(&self, offset: u32) -> Result<&[u8]> {
        std::ffi::CStr::from_bytes_until_nul(self.strings_from(offset))
            .map(std::ffi::CStr::to_bytes)
            .map_err(|_| Error::NoString {
                offset,
                limit: self.end_str(),
            })
    }

    /// The string at an offset as text.
    ///
    /// # Errors
    /// [`Error::NoString`] if the offset is past the strings, [`Error::NotUtf8`] if it is no text.
    #[doc(alias = "btf__name_by_offset")]
    pub fn name_at(&self, offset: u32) -> Result<&str> {
        View::of(self).name_at(offset)
    }

    /// The name of a type; empty for an anonymous one and for void.
    ///
    /// # Errors
    /// [`Error::NoType`] if there is no such type, [`Error::NotUtf8`] if its name is no text.
    pub fn name(&self, id: TypeId) -> Result<&str> {
        if id.is_void() {
            return Ok("");
        }
        let raw = self.raw(id).ok_or_else(|| Error::NoType {
            id,
            len: self.len(),
        })?;
        self.name_at(raw.name_off)
    }

    /// The own part in the host's byte order, as `BPF_BTF_LOAD` takes it.
    #[must_use]
    #[doc(alias = "btf__raw_data")]
    pub fn raw_bytes(&self) -> &[u8] {
        self.data.bytes()
    }

    /// The own part in a byte order of choice.
    #[must_use]
    #[doc(alias = "btf__set_endianness")]
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        let mut data = self.data.bytes().to_vec();
        if !endian.is_host() {
            self.header.swap(&mut data);
        }
        data
    }
}

impl<'a> RawType<'a> {
    /// The record that starts at this word.
    #[inline]
    pub(crate) fn at(words: &'a [Word], start: u32) -> Option<Self> {
        let (base, rest) = words
            .get(start as usize..)?
            .split_first_chunk::<BASE_WORDS>()?;
        let [name_off, info, third] = base.map(raw::value);
        Some(Self {
            name_off,
            info: Info(info),
            third,
            rest,
        })
    }

    /// The words behind the first three.
    pub(crate) fn extra(&self) -> &'a [Word] {
        let count = self.info.shape().extra_words(self.info.vlen());
        self.rest.get(..count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::BtfBuilder;
    use crate::core::{KnownTargets, Resolver};
    use crate::ext::BtfExt;
    use crate::types::IntEncoding;

    #[test]
    fn everything_that_is_kept_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Btf>();
        shared::<BtfExt>();
        shared::<BtfBuilder>();
        shared::<Resolver<KnownTargets>>();
        shared::<Error>();
    }

    #[test]
    fn data_of_this_byte_order_is_not_copied() {
        let mut builder = BtfBuilder::new();
        builder.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        let data = Arc::new(builder.to_bytes(Endian::HOST).unwrap());
        let start = data.as_ptr();
        let btf = Btf::parse(Arc::clone(&data)).unwrap();
        assert_eq!(btf.raw_bytes().as_ptr(), start);
        drop(data);
        assert_eq!(btf.find("int", Kind::Int), Some(TypeId(1)));
    }

    #[test]
    fn name_that_is_no_text_is_still_bytes() {
        let mut builder = BtfBuilder::new();
        builder.add_int("i@t", 4, IntEncoding::SIGNED).unwrap();
        let mut data = builder.to_bytes(Endian::HOST).unwrap();
        let at = data.iter().position(|byte| *byte == b'@').unwrap();
        data[at] = 0xc0;
        let btf = Btf::parse(data).unwrap();
        let name_off = btf.ty(TypeId(1)).unwrap().name_off;
        assert_eq!(btf.str_at(name_off).unwrap(), b"i\xc0t");
        assert!(matches!(
            btf.name(TypeId(1)),
            Err(Error::NotUtf8 { offset: 1, .. })
        ));
    }
}
