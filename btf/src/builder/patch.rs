//! Changes in place: every record keeps its id and its length.

use super::store::BtfBuilder;
use crate::entries::SecInfo;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw::MAX_VLEN;
use crate::shape::{BASE_WORDS, Info};
use crate::types::Linkage;

/// A record word by word, for changes that turn one kind into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Where the name starts.
    pub name_off: u32,
    /// The kind.
    pub kind: Kind,
    /// The kind flag.
    pub kind_flag: bool,
    /// Number of entries; the linkage of a FUNC.
    pub vlen: u32,
    /// The third word: a size or a type.
    pub size_or_type: u32,
    /// All that follows.
    pub extra: Vec<u32>,
}

impl BtfBuilder {
    /// An own type word by word.
    ///
    /// # Errors
    /// [`Error::NoType`] if there is none or it is the base's, [`Error::Unsupported`] if its kind is
    /// unknown.
    pub fn raw_record(&self, id: TypeId) -> Result<RawRecord> {
        let (range, info) = self.record(id)?;
        let kind = info.kind().ok_or(Error::Unsupported {
            what: "changing a type of unknown kind",
        })?;
        let words = self.words.get(range).unwrap_or_default();
        let [name_off, _, size_or_type, extra @ ..] = words else {
            return Err(Error::NoType {
                id,
                len: self.len(),
            });
        };
        Ok(RawRecord {
            name_off: *name_off,
            kind,
            kind_flag: info.flag(),
            vlen: info.vlen(),
            size_or_type: *size_or_type,
            extra: extra.to_vec(),
        })
    }

    /// Puts another record in the place of an own type; both must be equally long.
    ///
    /// This is how types are rewritten for kernels that do not know their kind.
    ///
    /// # Errors
    /// [`Error::NoType`], or [`Error::RecordLength`] if the lengths differ, or do not fit the kind.
    pub fn replace(&mut self, id: TypeId, record: &RawRecord) -> Result<()> {
        let (range, _) = self.record(id)?;
        let RawRecord {
            name_off,
            kind,
            kind_flag,
            vlen,
            size_or_type,
            extra,
        } = record;
        let info = Info::new(*kind, *kind_flag, *vlen);
        let (found, new) = (range.len(), BASE_WORDS + extra.len());
        let fits = info.shape().is_known()
            && *vlen <= MAX_VLEN
            && info.shape().extra_words(*vlen) == extra.len();
        let Some(words) = self.words.get_mut(range).filter(|_| fits && found == new) else {
            return Err(Error::RecordLength { id, found, new });
        };
        self.strings.allow_any_offset();
        let start = [*name_off, info.0, *size_or_type];
        for (word, value) in words.iter_mut().zip(start.iter().chain(extra)) {
            *word = *value;
        }
        Ok(())
    }

    /// The words of a type that must be of this kind.
    fn words_of(&mut self, id: TypeId, kind: Kind) -> Result<&mut [u32]> {
        let (range, info) = self.record(id)?;
        if !info.is(kind) {
            let found = info.kind().map_or("unknown", Kind::name);
            return Err(Error::WrongKind {
                id,
                found,
                expected: kind.name(),
            });
        }
        Ok(self.words.get_mut(range).unwrap_or_default())
    }

    fn set_word(words: &mut [u32], index: usize, value: u32) {
        if let Some(word) = words.get_mut(index) {
            *word = value;
        }
    }

    /// Gives an own type another name, by the offset of a string.
    ///
    /// # Errors
    /// [`Error::NoType`].
    pub fn set_name(&mut self, id: TypeId, name_off: u32) -> Result<()> {
        let (range, _) = self.record(id)?;
        self.strings.allow_any_offset();
        Self::set_word(self.words.get_mut(range).unwrap_or_default(), 0, name_off);
        Ok(())
    }

    /// Gives a section another size and other contents, as many as before.
    ///
    /// # Errors
    /// [`Error::NoType`], [`Error::WrongKind`], [`Error::RecordLength`].
    pub fn set_datasec(&mut self, id: TypeId, size: u32, secinfos: &[SecInfo]) -> Result<()> {
        let words = self.words_of(id, Kind::Datasec)?;
        let (found, new) = (
            words.len(),
            BASE_WORDS.saturating_add(secinfos.len().saturating_mul(3)),
        );
        if found != new {
            return Err(Error::RecordLength { id, found, new });
        }
        Self::set_word(words, 2, size);
        let extra = secinfos
            .iter()
            .flat_map(|info| [info.ty.0, info.offset, info.size]);
        for (word, value) in words.iter_mut().skip(BASE_WORDS).zip(extra) {
            *word = value;
        }
        Ok(())
    }

    /// Gives a variable another linkage.
    ///
    /// # Errors
    /// [`Error::NoType`], [`Error::WrongKind`].
    pub fn set_var_linkage(&mut self, id: TypeId, linkage: Linkage) -> Result<()> {
        Self::set_word(self.words_of(id, Kind::Var)?, BASE_WORDS, linkage.0);
        Ok(())
    }

    /// Gives a variable another type.
    ///
    /// # Errors
    /// [`Error::NoType`], [`Error::WrongKind`].
    pub fn set_var_type(&mut self, id: TypeId, ty: TypeId) -> Result<()> {
        Self::set_word(self.words_of(id, Kind::Var)?, 2, ty.0);
        Ok(())
    }

    /// Gives a function another linkage.
    ///
    /// # Errors
    /// [`Error::NoType`], [`Error::WrongKind`].
    pub fn set_func_linkage(&mut self, id: TypeId, linkage: Linkage) -> Result<()> {
        let info = Info::new(Kind::Func, false, linkage.0);
        Self::set_word(self.words_of(id, Kind::Func)?, 1, info.0);
        Ok(())
    }

    /// Gives a parameter of a FUNC_PROTO another name, by the offset of a string.
    ///
    /// # Errors
    /// [`Error::NoType`], [`Error::WrongKind`], [`Error::RecordLength`] if there is no such
    /// parameter.
    pub fn set_param_name(&mut self, id: TypeId, index: usize, name_off: u32) -> Result<()> {
        let words = self.words_of(id, Kind::FuncProto)?;
        let found = words.len();
        let new = index.saturating_mul(2).saturating_add(BASE_WORDS);
        if new >= found {
            return Err(Error::RecordLength {
                id,
                found,
                new: new.saturating_add(2),
            });
        }
        Self::set_word(words, new, name_off);
        self.strings.allow_any_offset();
        Ok(())
    }
}
