//! A BTF with its sections at hand.
//!
//! Where the bytes of a BTF are is known to whoever keeps them, and must be asked for. Who reads
//! one type does so, by [`Btf::ty`]; a loop over many asks once, by making a view.

use std::ops::Deref;

use crate::btf::{Btf, RawType};
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::name;
use crate::raw::Word;
use crate::types::Type;

/// A BTF whose sections were looked up; in all else it is the BTF. What the base has is looked up
/// each time, as the BTF does it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    btf: &'a Btf,
    words: &'a [Word],
    strings: &'a [u8],
}

impl Deref for View<'_> {
    type Target = Btf;

    fn deref(&self) -> &Btf {
        self.btf
    }
}

impl<'a> View<'a> {
    #[inline]
    pub(crate) fn of(btf: &'a Btf) -> Self {
        Self {
            btf,
            words: btf.words(),
            strings: btf.strings(),
        }
    }

    #[inline]
    pub(crate) fn raw(&self, id: TypeId) -> Option<RawType<'a>> {
        match id.0.checked_sub(self.btf.start_id) {
            Some(own) => RawType::at(self.words, *self.btf.starts.get(own as usize)?),
            None => self.btf.raw(id),
        }
    }

    /// The same as [`Btf::ty`].
    #[inline]
    pub(crate) fn ty(&self, id: TypeId) -> Result<Type<'a>> {
        Type::of(id, || self.raw(id)).ok_or_else(|| Error::NoType {
            id,
            len: self.btf.len(),
        })
    }

    #[inline]
    pub(crate) fn strings_from(&self, offset: u32) -> &'a [u8] {
        match offset.checked_sub(self.btf.start_str) {
            Some(own) => self.strings.get(own as usize..).unwrap_or_default(),
            None => self.btf.strings_from(offset),
        }
    }

    /// The same as [`Btf::name_at`].
    pub(crate) fn name_at(&self, offset: u32) -> Result<&'a str> {
        if offset == 0 {
            return Ok("");
        }
        let bytes = self.strings_from(offset);
        let name = name::up_to_nul(bytes);
        if name.len() == bytes.len() {
            return Err(Error::NoString {
                offset,
                limit: self.btf.end_str(),
            });
        }
        std::str::from_utf8(name).map_err(|source| Error::NotUtf8 { offset, source })
    }
}
