//! The records that take part, those of the base included, as plain words.

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::shape::{Field, Info};
use crate::strings::{Renamed, Strings};

/// All types by id. Two names are equal if their offsets are.
pub(super) struct Graph {
    /// The words of all records, with zeros in place of types.
    plain: Vec<u32>,
    /// The types that they refer to, in order.
    types: Vec<u32>,
    /// Where the words and types of each record start, and where those of the last one end.
    starts: Vec<[u32; 2]>,
    pub(super) first_own: u32,
    /// The own strings of the result, and where those of the base are.
    pub(super) strings: Strings,
    pub(super) names: Renamed,
}

/// One type. Void has no words.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// Its words, but zeros in place of types: equal ones make two types look alike.
    pub(super) plain: &'a [u32],
    /// The types that it refers to.
    pub(super) types: &'a [u32],
}

impl Graph {
    pub(super) fn new(btf: &Btf) -> Result<Self> {
        let mut graph = Self {
            plain: Vec::with_capacity(btf.words().len()),
            types: Vec::new(),
            starts: Vec::with_capacity(btf.len() as usize + 1),
            first_own: btf.start_id().0,
            strings: Strings::new(btf.base().cloned()),
            names: Renamed::new(btf, 0),
        };
        graph.starts.push([0; 2]);
        for id in btf.ids() {
            graph.end_record();
            graph.push(btf, id)?;
        }
        graph.end_record();
        Ok(graph)
    }

    fn end_record(&mut self) {
        // Both are shorter than a type section, or the two of a base and its split.
        self.starts
            .push([self.plain.len() as u32, self.types.len() as u32]);
    }

    fn push(&mut self, btf: &Btf, id: TypeId) -> Result<()> {
        let Self {
            plain,
            types,
            strings,
            names,
            ..
        } = self;
        let Some(raw) = btf.raw(id).filter(|raw| raw.info.shape().is_known()) else {
            return Err(Error::Unsupported {
                what: "deduplicating BTF with a type of unknown kind",
            });
        };
        let base = [raw.name_off, raw.info.0, raw.third];
        raw.info.shape().visit(base, raw.extra(), |field, word| {
            plain.push(match field {
                Field::Name if word != 0 => names.get(btf, word, |text| {
                    if word < btf.start_str() {
                        strings.know(word, text)
                    } else {
                        strings.add(text)
                    }
                })?,
                Field::Type => {
                    types.push(word);
                    0
                }
                _ => word,
            });
            Ok(())
        })
    }

    /// The number of types, void included.
    pub(super) fn len(&self) -> u32 {
        self.starts.len().saturating_sub(1) as u32
    }

    pub(super) fn get(&self, id: u32) -> Record<'_> {
        let bounds = self.starts.get(id as usize..).unwrap_or_default();
        let [[plain, types], [plain_end, types_end], ..] = *bounds else {
            return Record {
                plain: &[],
                types: &[],
            };
        };
        let plain = self.plain.get(plain as usize..plain_end as usize);
        let types = self.types.get(types as usize..types_end as usize);
        Record {
            plain: plain.unwrap_or_default(),
            types: types.unwrap_or_default(),
        }
    }

    pub(super) fn kind(&self, id: u32) -> Option<Kind> {
        self.get(id).kind()
    }

    /// Sets one of the types that a type refers to.
    pub(super) fn set_type(&mut self, id: u32, index: usize, ty: u32) {
        let start = self.starts.get(id as usize).map(|[_, types]| *types);
        let slot = start.and_then(|start| self.types.get_mut(start as usize + index));
        if let Some(slot) = slot {
            *slot = ty;
        }
    }
}

impl Record<'_> {
    pub(super) fn name(&self) -> u32 {
        self.plain.first().copied().unwrap_or_default()
    }

    pub(super) fn info(&self) -> Info {
        Info(self.plain.get(1).copied().unwrap_or_default())
    }

    /// Nothing for void.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.info().kind().filter(|kind| *kind != Kind::Void)
    }

    /// What it costs to look at it.
    pub(super) fn cost(&self) -> usize {
        self.plain.len() + 1
    }

    /// Whether this is an enum, of whichever width.
    pub(super) fn is_enum(&self) -> bool {
        matches!(self.kind(), Some(Kind::Enum | Kind::Enum64))
    }

    /// Whether this is an enum that is only declared.
    pub(super) fn is_enum_fwd(&self) -> bool {
        self.is_enum() && self.info().vlen() == 0
    }

    /// Whether two enums are the same, or at least one is the other's declaration.
    pub(super) fn is_compatible_enum(&self, other: &Self) -> bool {
        if self.is_enum_fwd() || other.is_enum_fwd() {
            self.is_enum() && other.is_enum() && self.name() == other.name()
        } else {
            self.plain == other.plain
        }
    }

    /// Whether this is a declaration of the other, a struct or union.
    pub(super) fn is_fwd_of(&self, other: &Self) -> bool {
        let declared = if self.info().flag() {
            Kind::Union
        } else {
            Kind::Struct
        };
        self.kind() == Some(Kind::Fwd) && other.kind() == Some(declared)
    }
}
