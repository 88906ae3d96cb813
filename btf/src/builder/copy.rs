//! Types taken over from another BTF.

use std::sync::Arc;

use super::store::BtfBuilder;
use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::raw::{self, MAX_ID};
use crate::shape::{BASE_WORDS, Field, Info};
use crate::strings::Renamed;

const UNKNOWN_KIND: &str = "copying a type of unknown kind";

impl BtfBuilder {
    /// Appends all own types of another BTF; the result is the id of the first.
    ///
    /// The other one must have no base, or the same. After an error nothing is added.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if its base is another one, or a type's kind is unknown.
    #[doc(alias = "btf__add_btf")]
    pub fn add_btf(&mut self, source: &Btf) -> Result<TypeId> {
        self.check_base_of(source)?;
        let first = self.len();
        if u64::from(first) + source.starts.len() as u64 > u64::from(MAX_ID) {
            return Err(Error::TooLarge { what: "types" });
        }
        let (words, types) = (self.words.len(), self.starts.len());
        let strings = self.strings.end();
        let source_words = source.words().iter();
        self.words
            .extend(source_words.map(|word| raw::value(*word)));
        let moved = |start: &u32| start.wrapping_add(words as u32);
        self.starts.extend(source.starts.iter().map(moved));
        let start = source.start_str();
        self.names = std::mem::take(&mut self.names).restart(source, start, start);
        if let Err(error) = self.rename_added(source, words) {
            self.words.truncate(words);
            self.starts.truncate(types);
            self.strings.truncate(strings);
            return Err(error);
        }
        Ok(TypeId(first))
    }

    /// Makes copies of all own records of `source`, from this word on, refer to what is here.
    fn rename_added(&mut self, source: &Btf, from: usize) -> Result<()> {
        let (source_start, moved) = (source.start_id().0, self.len());
        let moved = moved.saturating_sub(source.len());
        let mut rest = self.words.get_mut(from..).unwrap_or_default();
        while let [_, info, ..] = *rest {
            let shape = Info(info).shape();
            let len = BASE_WORDS + shape.extra_words(Info(info).vlen());
            let Some((record, after)) = rest.split_at_mut_checked(len) else {
                break;
            };
            if !shape.is_known() {
                return Err(Error::Unsupported { what: UNKNOWN_KIND });
            }
            shape.rewrite(record, |field, word| match field {
                Field::Name => self.names.get(source, word, &mut self.strings),
                _ if word < source_start => Ok(word),
                // The last one fits, as was checked.
                _ => Ok(word.saturating_add(moved)),
            })?;
            rest = after;
        }
        Ok(())
    }

    fn check_base_of(&self, source: &Btf) -> Result<()> {
        let is_same = match (source.base(), &self.base) {
            (None, _) => true,
            (Some(theirs), Some(ours)) => Arc::ptr_eq(theirs, ours),
            (Some(_), None) => false,
        };
        is_same.then_some(()).ok_or(Error::Unsupported {
            what: "adding BTF that continues another base",
        })
    }
}

/// Types of one BTF on their way into another.
pub(crate) struct Copy<'a> {
    source: &'a Btf,
    names: Renamed,
}

impl<'a> Copy<'a> {
    /// Copies own types of `source`; the strings of its base stay where they are.
    pub(crate) fn new(source: &'a Btf) -> Self {
        Self::with_strings_from(source, source.start_str())
    }

    /// Copies any types of `source`, and all strings that they use.
    pub(crate) fn with_base(source: &'a Btf) -> Self {
        Self::with_strings_from(source, 0)
    }

    fn with_strings_from(source: &'a Btf, start: u32) -> Self {
        Self {
            source,
            names: Renamed::new(source, start, start),
        }
    }

    /// Where a string of the source is in `to`.
    pub(crate) fn str(&mut self, to: &mut BtfBuilder, offset: u32) -> Result<u32> {
        self.names.get(self.source, offset, &mut to.strings)
    }

    /// Appends one type, with the types that it refers to replaced by what `ids` says.
    pub(crate) fn ty(
        &mut self,
        to: &mut BtfBuilder,
        id: TypeId,
        ids: impl Fn(TypeId) -> Result<TypeId>,
    ) -> Result<TypeId> {
        let Some(raw) = self.source.raw(id) else {
            let len = self.source.len();
            return Err(Error::NoType { id, len });
        };
        let shape = raw.info.shape();
        if !shape.is_known() {
            return Err(Error::Unsupported { what: UNKNOWN_KIND });
        }
        let new = TypeId(to.len());
        if new.0 >= MAX_ID {
            return Err(Error::TooLarge { what: "types" });
        }
        let Self { source, names } = self;
        let BtfBuilder {
            words,
            starts,
            strings,
            ..
        } = to;
        let start = words.len();
        starts.push(start as u32);
        words.extend([raw.name_off, raw.info.0, raw.third]);
        words.extend(raw.extra().iter().map(|word| raw::value(*word)));
        let record = words.get_mut(start..).unwrap_or_default();
        shape.rewrite(record, |field, word| match field {
            Field::Name => names.get(source, word, strings),
            _ => Ok(ids(TypeId(word))?.0),
        })?;
        Ok(new)
    }
}
