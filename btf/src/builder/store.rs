//! The types and strings of a BTF being made; from and to bytes.

use std::sync::Arc;

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw::{self, Endian, Header, MAX_ID};
use crate::shape::Info;
use crate::strings::{Renamed, Strings};

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
    pub(super) strings: Strings,
    /// Of the BTF that was added last; kept for its memory.
    pub(super) names: Renamed,
    layout: Vec<u8>,
    pub(super) base: Option<Arc<Btf>>,
    pointer_size: Option<u32>,
    endian: Endian,
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
        Self::continuing(None)
    }

    /// An empty BTF that continues another one.
    #[must_use]
    #[doc(alias = "btf__new_empty_split")]
    pub fn new_split(base: Arc<Btf>) -> Self {
        Self::continuing(Some(base))
    }

    fn continuing(base: Option<Arc<Btf>>) -> Self {
        Self {
            endian: base.as_ref().map_or(Endian::HOST, |base| base.endian()),
            words: Vec::new(),
            starts: Vec::new(),
            strings: Strings::new(base.clone()),
            names: Renamed::default(),
            layout: Vec::new(),
            base,
            pointer_size: None,
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
            strings: Strings::of(btf),
            ..Self::like(btf)
        })
    }

    /// An empty BTF with the base, the layout table, the pointer size and the byte order of another.
    pub(crate) fn like(btf: &Btf) -> Self {
        Self {
            layout: btf.layout().as_flattened().to_vec(),
            pointer_size: btf.pointer_size.get().copied(),
            endian: btf.endian(),
            ..Self::continuing(btf.base().cloned())
        }
    }

    /// These records and strings instead of those that it has.
    pub(crate) fn with_content(self, words: Vec<u32>, starts: Vec<u32>, strings: Strings) -> Self {
        Self {
            words,
            starts,
            strings,
            ..self
        }
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

    /// Adds a string, or finds it among those added before; the result is its offset.
    ///
    /// Strings that were there from the start are not searched. The empty string has offset 0.
    ///
    /// # Errors
    /// [`Error::Build`] if there is a NUL in it, [`Error::TooLarge`] past 2 GiB of strings.
    #[doc(alias = "btf__add_str")]
    pub fn add_str(&mut self, text: &str) -> Result<u32> {
        if text.contains('\0') {
            return Err(Error::Build {
                kind: Kind::Void,
                name: text.into(),
                problem: "a NUL in a string",
            });
        }
        self.strings.add(text.as_bytes())
    }

    /// Sets the size of pointers, 4 or 8 bytes; otherwise it follows from the types.
    #[must_use]
    pub fn pointer_size(mut self, bytes: u32) -> Self {
        self.pointer_size = Some(bytes);
        self
    }

    /// Sets the byte order of the machine that it is for, [`Btf::endian`]; otherwise it is that of the
    /// base, or of this machine.
    #[must_use]
    pub fn endian(mut self, endian: Endian) -> Self {
        self.endian = endian;
        self
    }

    /// Drops the table of record sizes, for kernels that do not know it (`btf_header.layout_off`).
    pub fn drop_layout(&mut self) {
        self.layout.clear();
    }

    /// Appends a record of a known kind whose words are right.
    pub(crate) fn push(
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

    /// The BTF, checked as if it had been read.
    ///
    /// # Errors
    /// What is wrong with it, for instance a reference to a type that was never added.
    pub fn finish(&self) -> Result<Btf> {
        let data = self.host_bytes()?;
        let mut btf = match &self.base {
            Some(base) => Btf::parse_split(data, Arc::clone(base))?,
            None => Btf::parse(data)?,
        };
        btf.has_unique_strings = self.strings.is_unique();
        btf.header.endian = self.endian;
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
            self.strings.bytes(),
        )
    }
}
