//! Types as one reads them: a typed view of each record.

use crate::btf::RawType;
use crate::entries::{Enumerators, Members, Params, Records, SecInfos};
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw::{self, Word};
use crate::shape::Info;

/// One type (`struct btf_type`), borrowed from its BTF.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Type<'a> {
    /// Its id.
    pub id: TypeId,
    /// Where its name starts in the strings; 0 for an anonymous type.
    pub name_off: u32,
    /// What the record says, kind by kind.
    pub kind: TypeKind<'a>,
    /// The kind flag as it stands in the record; its meaning depends on the kind.
    pub kind_flag: bool,
}

impl Type<'_> {
    /// Whether the type has no name.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        self.name_off == 0
    }
}

impl<'a> Type<'a> {
    /// A type by its record; void has none.
    #[inline]
    pub(crate) fn of(id: TypeId, record: impl FnOnce() -> Option<RawType<'a>>) -> Option<Self> {
        if id.is_void() {
            return Some(Self {
                id,
                name_off: 0,
                kind: TypeKind::Void,
                kind_flag: false,
            });
        }
        let raw = record()?;
        Some(Self {
            id,
            name_off: raw.name_off,
            kind: TypeKind::read(raw.info, raw.third, raw.extra()),
            kind_flag: raw.info.flag(),
        })
    }
}

/// What a type is, with all that its record holds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TypeKind<'a> {
    /// `void`, the type with id 0.
    Void,
    /// An integer, character or boolean.
    Int {
        /// Bytes of storage.
        size: u32,
        /// Bits of the value.
        bits: u8,
        /// Bits between the start of the storage and the value; 0 but in very old BTF.
        offset: u8,
        /// How the bits are read.
        encoding: IntEncoding,
    },
    /// A pointer to a type.
    Ptr(TypeId),
    /// An array.
    Array {
        /// Type of an element.
        elem: TypeId,
        /// Type of the index.
        index: TypeId,
        /// Number of elements; 0 also for a flexible array.
        nelems: u32,
    },
    /// A struct.
    Struct(Composite<'a>),
    /// A union.
    Union(Composite<'a>),
    /// An enum whose values have up to 32 bits.
    Enum {
        /// Bytes of storage.
        size: u32,
        /// Whether the values are signed.
        signed: bool,
        /// The values, in order of declaration.
        values: Enumerators<'a>,
    },
    /// An enum whose values have up to 64 bits.
    Enum64 {
        /// Bytes of storage.
        size: u32,
        /// Whether the values are signed.
        signed: bool,
        /// The values, in order of declaration.
        values: Enumerators<'a>,
    },
    /// A struct or union without its definition.
    Fwd {
        /// Whether it is a union.
        union: bool,
    },
    /// Another name of a type.
    Typedef(TypeId),
    /// `volatile`.
    Volatile(TypeId),
    /// `const`.
    Const(TypeId),
    /// `restrict`.
    Restrict(TypeId),
    /// A type with an attribute; the attribute is the name.
    TypeTag(TypeId),
    /// An attribute (the name) of a declaration.
    DeclTag {
        /// What is tagged: struct, union, func, var, typedef.
        ty: TypeId,
        /// Which member or parameter of it, or -1 for the whole.
        component: i32,
    },
    /// A function.
    Func {
        /// Its type, a [`TypeKind::FuncProto`].
        proto: TypeId,
        /// Its linkage.
        linkage: Linkage,
    },
    /// The type of a function.
    FuncProto {
        /// What it returns.
        ret: TypeId,
        /// Its parameters; a last one without name and type stands for `...`.
        params: Params<'a>,
    },
    /// A variable.
    Var {
        /// Its type.
        ty: TypeId,
        /// Its linkage.
        linkage: Linkage,
    },
    /// The variables of a section.
    Datasec {
        /// Bytes of the section; 0 in an object that was not linked.
        size: u32,
        /// What lies where in it.
        secinfos: SecInfos<'a>,
    },
    /// A floating point number.
    Float {
        /// Bytes of storage.
        size: u32,
    },
    /// A kind that only the layout table of the BTF knows.
    Unknown {
        /// Its number.
        kind: u8,
    },
}

impl TypeKind<'_> {
    /// The kind's number, or nothing for an unknown one.
    #[must_use]
    pub const fn id(&self) -> Option<Kind> {
        Some(match self {
            Self::Void => Kind::Void,
            Self::Int { .. } => Kind::Int,
            Self::Ptr(_) => Kind::Ptr,
            Self::Array { .. } => Kind::Array,
            Self::Struct(_) => Kind::Struct,
            Self::Union(_) => Kind::Union,
            Self::Enum { .. } => Kind::Enum,
            Self::Enum64 { .. } => Kind::Enum64,
            Self::Fwd { .. } => Kind::Fwd,
            Self::Typedef(_) => Kind::Typedef,
            Self::Volatile(_) => Kind::Volatile,
            Self::Const(_) => Kind::Const,
            Self::Restrict(_) => Kind::Restrict,
            Self::TypeTag(_) => Kind::TypeTag,
            Self::DeclTag { .. } => Kind::DeclTag,
            Self::Func { .. } => Kind::Func,
            Self::FuncProto { .. } => Kind::FuncProto,
            Self::Var { .. } => Kind::Var,
            Self::Datasec { .. } => Kind::Datasec,
            Self::Float { .. } => Kind::Float,
            Self::Unknown { .. } => return None,
        })
    }

    /// The kind's name as libbpf prints it; `unknown` for an unknown one.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.id().map_or("unknown", Kind::name)
    }

    /// The type behind a modifier: `const`, `volatile`, `restrict`, a type tag.
    #[must_use]
    pub const fn modified(&self) -> Option<TypeId> {
        match self {
            Self::Volatile(ty) | Self::Const(ty) | Self::Restrict(ty) | Self::TypeTag(ty) => {
                Some(*ty)
            }
            _ => None,
        }
    }
}

impl<'a> TypeKind<'a> {
    /// The members, if this is a struct or a union.
    #[must_use]
    pub const fn composite(&self) -> Option<Composite<'a>> {
        match self {
            Self::Struct(composite) | Self::Union(composite) => Some(*composite),
            _ => None,
        }
    }

    /// The values, if this is an enum of 32 or 64 bits.
    #[must_use]
    pub const fn enumerators(&self) -> Option<Enumerators<'a>> {
        match self {
            Self::Enum { values, .. } | Self::Enum64 { values, .. } => Some(*values),
            _ => None,
        }
    }

    /// Reads what is behind the name offset of a record.
    pub(crate) fn read(info: Info, third: u32, extra: &'a [Word]) -> Self {
        let ty = TypeId(third);
        let flag = info.flag();
        let extra_word = |index: usize| extra.get(index).map_or(0, |word| raw::value(*word));
        let Some(kind) = info.kind() else {
            return Self::Unknown {
                kind: info.kind_number(),
            };
        };
        match kind {
            Kind::Void => Self::Unknown { kind: 0 },
            Kind::Int => {
                let [encoding, offset, _, bits] = extra_word(0).to_be_bytes();
                Self::Int {
                    size: third,
                    bits,
                    offset,
                    encoding: IntEncoding(encoding & 0x0f),
                }
            }
            Kind::Ptr => Self::Ptr(ty),
            Kind::Array => Self::Array {
                elem: TypeId(extra_word(0)),
                index: TypeId(extra_word(1)),
                nelems: extra_word(2),
            },
            Kind::Struct => Self::Struct(Composite {
                size: third,
                members: Records::new(extra, flag),
            }),
            Kind::Union => Self::Union(Composite {
                size: third,
                members: Records::new(extra, flag),
            }),
            Kind::Enum => Self::Enum {
                size: third,
                signed: flag,
                values: Enumerators::new(extra, false, flag),
            },
            Kind::Enum64 => Self::Enum64 {
                size: third,
                signed: flag,
                values: Enumerators::new(extra, true, flag),
            },
            Kind::Fwd => Self::Fwd { union: flag },
            Kind::Typedef => Self::Typedef(ty),
            Kind::Volatile => Self::Volatile(ty),
            Kind::Const => Self::Const(ty),
            Kind::Restrict => Self::Restrict(ty),
            Kind::TypeTag => Self::TypeTag(ty),
            Kind::DeclTag => Self::DeclTag {
                ty,
                component: extra_word(0).cast_signed(),
            },
            Kind::Func => Self::Func {
                proto: ty,
                linkage: Linkage(info.vlen()),
            },
            Kind::FuncProto => Self::FuncProto {
                ret: ty,
                params: Records::new(extra, flag),
            },
            Kind::Var => Self::Var {
                ty,
                linkage: Linkage(extra_word(0)),
            },
            Kind::Datasec => Self::Datasec {
                size: third,
                secinfos: Records::new(extra, flag),
            },
            Kind::Float => Self::Float { size: third },
        }
    }
}

/// How the bits of an integer are read (`BTF_INT_*`); a set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IntEncoding(pub u8);

impl IntEncoding {
    /// An unsigned number.
    pub const UNSIGNED: Self = Self(0);
    /// `BTF_INT_SIGNED`.
    pub const SIGNED: Self = Self(1);
    /// `BTF_INT_CHAR`.
    pub const CHAR: Self = Self(2);
    /// `BTF_INT_BOOL`.
    pub const BOOL: Self = Self(4);

    /// Whether the number is signed.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        self.0 & Self::SIGNED.0 != 0
    }

    /// Whether this is a character.
    #[must_use]
    pub const fn is_char(self) -> bool {
        self.0 & Self::CHAR.0 != 0
    }

    /// Whether this is a boolean.
    #[must_use]
    pub const fn is_bool(self) -> bool {
        self.0 & Self::BOOL.0 != 0
    }
}

/// The linkage of a function or variable (`enum btf_func_linkage`, `BTF_VAR_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Linkage(pub u32);

impl Linkage {
    /// Seen only in its own file.
    pub const STATIC: Self = Self(0);
    /// Defined here, seen everywhere.
    pub const GLOBAL: Self = Self(1);
    /// Defined elsewhere.
    pub const EXTERN: Self = Self(2);
}

/// A struct or union.
#[derive(Clone, Copy, Debug)]
pub struct Composite<'a> {
    /// Bytes of the whole.
    pub size: u32,
    /// The members, in order of declaration.
    pub members: Members<'a>,
}

impl<'a> Composite<'a> {
    /// The members, in order of declaration.
    #[must_use]
    pub const fn members(&self) -> Members<'a> {
        self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, flag: bool, vlen: u32, third: u32, extra: &[u32]) -> String {
        let words: Vec<Word> = extra.iter().map(|word| word.to_ne_bytes()).collect();
        format!(
            "{:?}",
            TypeKind::read(Info::new(kind, flag, vlen), third, &words)
        )
    }

    #[test]
    fn int_data_word_is_taken_apart() {
        assert_eq!(
            read(Kind::Int, false, 0, 4, &[0x0103_0011]),
            "Int { size: 4, bits: 17, offset: 3, encoding: IntEncoding(1) }"
        );
    }

    #[test]
    fn flag_tells_union_from_struct_in_fwd() {
        assert_eq!(read(Kind::Fwd, true, 0, 0, &[]), "Fwd { union: true }");
        assert_eq!(read(Kind::Fwd, false, 0, 0, &[]), "Fwd { union: false }");
    }

    #[test]
    fn func_linkage_is_the_vlen() {
        assert_eq!(
            read(Kind::Func, false, 2, 9, &[]),
            "Func { proto: TypeId(9), linkage: Linkage(2) }"
        );
    }

    #[test]
    fn unknown_kind_keeps_its_number() {
        let kind = TypeKind::read(Info(0x2a << 24), 0, &[]);
        assert!(matches!(kind, TypeKind::Unknown { kind: 0x2a }));
        assert_eq!((kind.id(), kind.name()), (None, "unknown"));
    }
}
