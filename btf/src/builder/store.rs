//! The types and strings of a BTF being made; from and to bytes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw::{self, Endian, Header, MAX_ID};
use crate::shape::{BASE_WORDS, Field, Info};

/// BTF that is being made or changed.
///
/// Ids given out stay what they are; an id may be used before its type is added, and
/// [`finish`](Self::finish) checks that in the end all is there.
#[derive(Clone, Debug)]
pub struct BtfBuilder {
    /// The records, one behind the other.
    pub(super) words: Vec<u32>,
    /// Where in `words` each own type starts.
    pub(super) starts: Vec<u32>,
    strings: Vec<u8>,
    /// Strings that were added here, to add none twice.
    added: HashMap<Box<[u8]>, u32>,
    layout: Vec<u8>,
    base: Option<Arc<Btf>>,
    pointer_size: Option<u32>,
}

impl Default for BtfBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BtfBuilder {
    /// An empty BTF.
    #[must_use]
    #[doc(alias = "btf__new_empty")]
    pub fn new() -> Self {
        Self {
            words: Vec::new(),
            starts: Vec::new(),
            strings: vec![0],
            added: HashMap::new(),
            layout: Vec::new(),
            base: None,
            pointer_size: None,
        }
    }

    /// An empty BTF that continues another one.
    #[must_use]
    #[doc(alias = "btf__new_empty_split")]
    pub fn new_split(base: Arc<Btf>) -> Self {
        Self {
            strings: Vec::new(),
            base: Some(base),
            ..Self::new()
        }
    }

    /// A copy of a BTF, to be changed; ids and string offsets stay what they are.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if its header has fields that a copy would lose.
    pub fn from_btf(btf: &Btf) -> Result<Self> {
        if !btf.header.known {
            return Err(Error::Unsupported {
                what: "changing BTF whose header has fields of a later version",
            });
        }
        Ok(Self {
            words: btf.words().iter().map(|word| raw::value(*word)).collect(),
            starts: btf.starts.clone(),
            strings: btf.strings().to_vec(),
            added: HashMap::new(),
            layout: btf.layout().as_flattened().to_vec(),
            base: btf.base().cloned(),
            pointer_size: btf.pointer_size.get().copied(),
        })
    }

    /// The first id that is free: the number of types, void and those of the base included.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "void is always there")]
    pub fn len(&self) -> u32 {
        self.start_id().saturating_add(self.starts.len() as u32)
    }

    fn start_id(&self) -> u32 {
        self.base.as_ref().map_or(1, |base| base.len())
    }

    fn start_str(&self) -> u32 {
        self.base.as_ref().map_or(0, |base| base.end_str())
    }

    /// Adds a string, or finds it among those added before; the result is its offset.
    ///
    /// Strings that were there from the start are not searched. The empty string has offset 0.
    ///
    /// # Errors
    /// [`Error::Build`] if there is a NUL in it, [`Error::TooLarge`] past 2 GiB of strings.
    #[doc(alias = "btf__add_str")]
    pub fn add_str(&mut self, text: &str) -> Result<u32> {
        if text.is_empty() {
            return Ok(0);
        }
        if let Some(offset) = self.added.get(text.as_bytes()) {
            return Ok(*offset);
        }
        if text.contains('\0') {
            return Err(Error::Build {
                kind: Kind::Void,
                name: text.into(),
                problem: "a NUL in a string",
            });
        }
        let offset = self.start_str() as usize + self.strings.len();
        if offset + text.len() >= MAX_ID as usize {
            return Err(Error::TooLarge { what: "strings" });
        }
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.added.insert(text.as_bytes().into(), offset as u32);
        Ok(offset as u32)
    }

    /// Sets the size of pointers, 4 or 8 bytes; otherwise it follows from the types.
    #[must_use]
    pub fn pointer_size(mut self, bytes: u32) -> Self {
        self.pointer_size = Some(bytes);
        self
    }

    /// Drops the table of record sizes, for kernels that do not know it (`btf_header.layout_off`).
    pub fn drop_layout(&mut self) {
        self.layout.clear();
    }

    /// Appends a record of a known kind whose words are right.
    pub(super) fn push(
        &mut self,
        name_off: u32,
        info: Info,
        third: u32,
        extra: &[u32],
    ) -> Result<TypeId> {
        let id = self.len();
        if id >= MAX_ID {
            return Err(Error::TooLarge { what: "types" });
        }
        self.starts.push(self.words.len() as u32);
        self.words.extend_from_slice(&[name_off, info.0, third]);
        self.words.extend_from_slice(extra);
        Ok(TypeId(id))
    }

    /// The words of an own type, and what its second word says.
    pub(super) fn record(&self, id: TypeId) -> Result<(std::ops::Range<usize>, Info)> {
        let missing = Error::NoType {
            id,
            len: self.len(),
        };
        let index = id.0.checked_sub(self.start_id());
        let Some(start) = index.and_then(|index| self.starts.get(index as usize)) else {
            return Err(missing);
        };
        let start = *start as usize;
        let end = index
            .and_then(|index| self.starts.get(index as usize + 1))
            .map_or(self.words.len(), |end| *end as usize);
        match self.words.get(start + 1) {
            Some(info) => Ok((start..end, Info(*info))),
            None => Err(missing),
        }
    }

    /// Appends all own types of another BTF; the result is the id of the first.
    ///
    /// The other one must have no base, or the same. After an error nothing is added.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if its base is another one, or a type's kind is unknown.
    #[doc(alias = "btf__add_btf")]
    pub fn add_btf(&mut self, source: &Btf) -> Result<TypeId> {
        let same_base = match (source.base(), &self.base) {
            (None, _) => true,
            (Some(theirs), Some(ours)) => Arc::ptr_eq(theirs, ours),
            (Some(_), None) => false,
        };
        if !same_base {
            return Err(Error::Unsupported {
                what: "adding BTF that continues another base",
            });
        }
        let first = TypeId(self.len());
        let before = (self.words.len(), self.starts.len(), self.strings.len());
        match source
            .own_ids()
            .try_for_each(|id| self.copy_type(source, id, first.0))
        {
            Ok(()) => Ok(first),
            Err(error) => {
                self.words.truncate(before.0);
                self.starts.truncate(before.1);
                self.strings.truncate(before.2);
                let end = self.start_str().saturating_add(before.2 as u32);
                self.added.retain(|_, offset| *offset < end);
                Err(error)
            }
        }
    }

    fn copy_type(&mut self, source: &Btf, id: TypeId, first: u32) -> Result<()> {
        let len = source.len();
        let raw = source.raw(id).ok_or(Error::NoType { id, len })?;
        let shape = raw.info.shape();
        if !shape.is_known() {
            return Err(Error::Unsupported {
                what: "adding a type of unknown kind",
            });
        }
        let vlen = raw.info.vlen();
        let extra = raw.rest.iter().map(|word| raw::value(*word));
        let words = [raw.name_off, raw.info.0, raw.third]
            .into_iter()
            .chain(extra);
        let start = self.words.len();
        for (field, word) in shape.fields(vlen).zip(words) {
            let word = match field {
                Field::Plain => word,
                Field::Name if word < source.start_str() => word,
                Field::Name => self.add_str(source.name_at(word)?)?,
                Field::Type => match word.checked_sub(source.start_id().0) {
                    Some(own) => own
                        .checked_add(first)
                        .ok_or(Error::TooLarge { what: "types" })?,
                    None => word,
                },
            };
            self.words.push(word);
        }
        if self.words.len() - start != BASE_WORDS + shape.extra_words(vlen) || self.len() >= MAX_ID
        {
            return Err(Error::NoType { id, len });
        }
        self.starts.push(start as u32);
        Ok(())
    }

    /// The BTF, checked as if it had been read.
    ///
    /// # Errors
    /// What is wrong with it, for instance a reference to a type that was never added.
    pub fn finish(&self) -> Result<Btf> {
        let data = self.host_bytes()?;
        let btf = match &self.base {
            Some(base) => Btf::parse_split(data, Arc::clone(base))?,
            None => Btf::parse(data)?,
        };
        match self.pointer_size {
            Some(bytes) => btf.with_pointer_size(bytes),
            None => Ok(btf),
        }
    }

    /// The BTF as a `.BTF` section of a byte order, checked as by [`finish`](Self::finish).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn to_bytes(&self, endian: Endian) -> Result<Vec<u8>> {
        Ok(self.finish()?.to_bytes(endian))
    }

    fn host_bytes(&self) -> Result<Vec<u8>> {
        Header::assemble(
            bytemuck::cast_slice(&self.words),
            &self.layout,
            &self.strings,
        )
    }
}
