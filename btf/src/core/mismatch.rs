//! Why a candidate is not what a relocation means.

use super::spec::describe;
use crate::btf::Btf;
use crate::id::TypeId;

/// The first thing about a candidate that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It is another type, or one of its parts is.
    Type,
    /// It has no enumerator of this name.
    NoEnumerator {
        /// Where the name starts in the object's own strings.
        name_off: u32,
    },
    /// A struct or union has no member of this name.
    NoMember {
        /// The struct or union, in the target.
        within: TypeId,
        /// Where the name starts in the object's own strings.
        name_off: u32,
    },
    /// A member of the right name has a type that is not compatible.
    MemberType {
        /// The struct or union, in the target.
        within: TypeId,
        /// Where the name starts in the target's strings.
        name_off: u32,
        /// The type of the member, in the target.
        found: TypeId,
        /// The type that it has in the object.
        expected: TypeId,
    },
    /// What is to be indexed is no array.
    NoArray {
        /// What it is, in the target.
        found: TypeId,
    },
    /// An array is too short.
    TooShort {
        /// How many elements it has.
        len: u32,
        /// The element that is meant.
        index: u32,
    },
}

impl Mismatch {
    /// What does not fit, in words; `local` is the object's BTF and `target` that of the candidate.
    #[must_use]
    pub fn text(&self, local: &Btf, target: &Btf, candidate: TypeId) -> String {
        let name = |btf: &Btf, offset| btf.name_at(offset).unwrap_or("?").to_owned();
        let whose = |within| match within == candidate {
            true => "it".to_owned(),
            false => describe(target, within),
        };
        match *self {
            Self::Type => "the types differ".to_owned(),
            Self::NoEnumerator { name_off } => {
                format!("it has no value `{}`", name(local, name_off))
            }
            Self::NoMember { within, name_off } => {
                format!(
                    "{} has no member `{}`",
                    whose(within),
                    name(local, name_off)
                )
            }
            Self::MemberType {
                within,
                name_off,
                found,
                expected,
            } => format!(
                "member `{}` of {} is {}, expected {}",
                name(target, name_off),
                whose(within),
                describe(target, found),
                describe(local, expected),
            ),
            Self::NoArray { found } => format!("{} is no array", describe(target, found)),
            Self::TooShort { len, index } => {
                format!("an array has {len} elements, and element {index} is meant")
            }
        }
    }
}
