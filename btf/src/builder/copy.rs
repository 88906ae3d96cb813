//! Types taken over from another BTF.

use std::sync::Arc;

use super::store::BtfBuilder;
use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::raw::MAX_ID;
use crate::shape::Field;
use crate::strings::Renamed;

impl BtfBuilder {
    /// Appends all own types of another BTF; the result is the id of the first.
    ///
    /// The other one must have no base, or the same. After an error nothing is added.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if its base is another one, or a type's kind is unknown.
    #[doc(alias = "btf__add_btf")]
    pub fn add_btf(&mut self, source: &Btf) -> Result<TypeId> {
        let first = TypeId(self.len());
        let before = (self.words.len(), self.starts.len(), self.strings.end());
        let start = source.start_id().0;
        let moved = |ty: TypeId| match ty.0.checked_sub(start) {
            Some(own) => {
                let moved = own.checked_add(first.0);
                Ok(TypeId(moved.ok_or(Error::TooLarge { what: "types" })?))
            }
            None => Ok(ty),
        };
        let mut copy = Copy::new(source);
        let added = self.check_base_of(source).and_then(|()| {
            let mut ids = source.own_ids();
            ids.try_for_each(|id| copy.ty(self, id, moved).map(|_| ()))
        });
        match added {
            Ok(()) => Ok(first),
            Err(error) => {
                self.words.truncate(before.0);
                self.starts.truncate(before.1);
                self.strings.truncate(before.2);
                Err(error)
            }
        }
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
            names: Renamed::new(source, start),
        }
    }

    /// Where a string of the source is in `to`.
    pub(crate) fn str(&mut self, to: &mut BtfBuilder, offset: u32) -> Result<u32> {
        let Self { source, names } = self;
        names.get(source, offset, |text| to.strings.add(text))
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
            return Err(Error::Unsupported {
                what: "copying a type of unknown kind",
            });
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
        starts.push(words.len() as u32);
        let base = [raw.name_off, raw.info.0, raw.third];
        shape.visit(base, raw.extra(), |field, word| {
            words.push(match field {
                Field::Plain => word,
                Field::Name => names.get(source, word, |text| strings.add(text))?,
                Field::Type => ids(TypeId(word))?.0,
            });
            Ok(())
        })?;
        Ok(new)
    }
}
