//! BTF that is partly damaged: what is sound stays, with its ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::btf::Btf;
use crate::builder::BtfBuilder;
use crate::data::BtfData;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw;
use crate::shape::Info;
use crate::strings::Strings;

/// Damaged BTF, mended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Lenient {
    /// All that is sound; in place of a damaged type there is a declaration without a name.
    pub btf: Btf,
    /// What was wrong, in the order of ids.
    pub faults: Vec<Error>,
}

impl Btf {
    /// Reads BTF of which some types may be damaged, without letting them spoil the others.
    ///
    /// A type that refers to names or types that do not exist becomes a declaration (`FWD`) without
    /// a name. Where a record itself cannot be read, nothing behind it can: there the types end.
    ///
    /// # Errors
    /// If the header or the strings are damaged; what [`parse`](Self::parse) says of these.
    pub fn parse_lenient(data: impl Into<BtfData>, base: Option<Arc<Self>>) -> Result<Lenient> {
        let (btf, fault) = Self::parse_unchecked(data.into(), base)?;
        let mut damaged = BTreeMap::new();
        for id in btf.own_ids() {
            if let Err(error) = btf.check_references(id) {
                damaged.insert(id, error);
            }
        }
        // A function is nothing without its prototype.
        for id in btf.own_ids() {
            let raw = btf.raw(id).filter(|raw| raw.info.is(Kind::Func));
            let proto = raw.map(|raw| TypeId(raw.third));
            if let Some(found) = proto.filter(|proto| damaged.contains_key(proto)) {
                let offset = btf.record_offset(id);
                damaged.insert(id, Error::NotFuncProto { id, offset, found });
            }
        }
        if damaged.is_empty() && fault.is_none() {
            let faults = Vec::new();
            return Ok(Lenient { btf, faults });
        }
        let (mut words, mut starts) = (Vec::new(), Vec::new());
        for id in btf.own_ids() {
            starts.push(words.len() as u32);
            if damaged.contains_key(&id) {
                words.extend([0, Info::new(Kind::Fwd, false, 0).0, 0]);
            } else {
                words.extend(btf.record_words(id));
            }
        }
        let builder = BtfBuilder::like(&btf).with_content(words, starts, Strings::of(&btf));
        let faults = damaged.into_values().chain(fault);
        Ok(Lenient {
            btf: builder.finish()?,
            faults: faults.collect(),
        })
    }

    /// All words of an own type's record, of unknown kinds too.
    fn record_words(&self, id: TypeId) -> impl Iterator<Item = u32> {
        let start = (self.record_offset(id) / 4) as usize;
        let next = TypeId(id.0.saturating_add(1));
        let end = if next.0 < self.len() {
            (self.record_offset(next) / 4) as usize
        } else {
            self.words().len()
        };
        let record = self.words().get(start..end).unwrap_or_default();
        record.iter().map(|word| raw::value(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::NewMember;
    use crate::raw::Endian;
    use crate::types::{IntEncoding, Linkage, TypeKind};

    /// int, `struct s { int x; }`, a prototype that returns `s`, a function of it.
    fn sample() -> Vec<u8> {
        let mut btf = BtfBuilder::new();
        let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        let member = NewMember {
            name: "x",
            ty: int,
            ..NewMember::default()
        };
        let s = btf.add_struct("s", 4, &[member]).unwrap();
        let proto = btf.add_func_proto(s, &[]).unwrap();
        btf.add_func("f", Linkage::GLOBAL, proto).unwrap();
        btf.add_ptr(s).unwrap();
        btf.to_bytes(Endian::HOST).unwrap()
    }

    /// The sample with one word of its types changed.
    fn with_word(word: usize, value: u32) -> Vec<u8> {
        let mut data = sample();
        data[24 + word * 4..][..4].copy_from_slice(&value.to_ne_bytes());
        data
    }

    fn kinds(btf: &Btf) -> Vec<&'static str> {
        let kind = |id| btf.ty(id).unwrap().kind.name();
        btf.own_ids().map(kind).collect()
    }

    #[test]
    fn sound_btf_is_taken_as_it_is() {
        let Lenient { btf, faults } = Btf::parse_lenient(sample(), None).unwrap();
        assert_eq!((btf.raw_bytes(), faults.len()), (&sample()[..], 0));
    }

    #[test]
    fn damaged_type_is_replaced_and_others_keep_their_ids() {
        // The type of the struct's member.
        let Lenient { btf, faults } = Btf::parse_lenient(with_word(8, 99), None).unwrap();
        assert_eq!(kinds(&btf), ["int", "fwd", "func_proto", "func", "ptr"]);
        assert!(matches!(
            faults[..],
            [Error::TypeOutOfRange { id: TypeId(2), .. }]
        ));
        assert!(matches!(
            btf.ty(TypeId(5)).unwrap().kind,
            TypeKind::Ptr(TypeId(2))
        ));
    }

    #[test]
    fn function_goes_with_its_prototype() {
        // What the prototype returns.
        let Lenient { btf, faults } = Btf::parse_lenient(with_word(12, 99), None).unwrap();
        assert_eq!(kinds(&btf), ["int", "struct", "fwd", "fwd", "ptr"]);
        assert_eq!(faults.len(), 2);
    }

    #[test]
    fn types_end_where_a_record_cannot_be_read() {
        // The kind of the prototype; the pointer to a type behind it goes as well.
        let Lenient { btf, faults } = Btf::parse_lenient(with_word(11, 0x7f00_0000), None).unwrap();
        assert_eq!(kinds(&btf), ["int", "struct"]);
        assert!(matches!(
            faults[..],
            [Error::UnknownKind { id: TypeId(3), .. }]
        ));
    }

    #[test]
    fn every_word_may_be_damaged() {
        for word in 0..19 {
            for value in [0, 1, 5, 0x0400_0001, 0x7fff_ffff, u32::MAX] {
                let data = with_word(word, value);
                let lenient = Btf::parse_lenient(data.clone(), None).unwrap();
                match Btf::parse(data) {
                    Ok(strict) => assert_eq!(lenient.btf.raw_bytes(), strict.raw_bytes()),
                    Err(_) => assert!(!lenient.faults.is_empty()),
                }
            }
        }
    }
}
