//! What can differ between two types of one name.

use std::fmt;

/// One of the two BTFs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// One difference between two types of one name. Each has what it was in `a` and what it is in `b`.
///
/// A member is named by its path: `a.b` is member `b` of the anonymous struct that `a` is of, and
/// `a[].b` of the structs that `a` is an array of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Bytes of the type.
    Size(u32, u32),
    /// What kind of type it is: an enum of 32 or of 64 bits, a struct or its declaration.
    Kind(&'static str, &'static str),
    /// The type itself, as C writes it: of a typedef, a function, a variable; encoding of a number.
    Type(String, String),
    /// Whether it is static, global or extern.
    Linkage(u32, u32),
    /// A member, value, parameter or variable that only one has.
    Only(Side, String),
    /// Bits from the start to a member, or bytes to the variable of a section.
    MemberOffset(String, u32, u32),
    /// Bits of a bit-field (0 for an ordinary member), or bytes of the variable of a section.
    MemberSize(String, u32, u32),
    /// The type of a member.
    MemberType(String, String, String),
    /// A value of an enum.
    Value(String, i128, i128),
    /// The members are the same, but in another order.
    Order,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(a, b) => write!(f, "size {a} -> {b}"),
            Self::Kind(a, b) => write!(f, "kind {a} -> {b}"),
            Self::Type(a, b) => write!(f, "type {a} -> {b}"),
            Self::Linkage(a, b) => write!(f, "linkage {a} -> {b}"),
            Self::Only(Side::A, name) => write!(f, "`{name}` only in the first"),
            Self::Only(Side::B, name) => write!(f, "`{name}` only in the second"),
            Self::MemberOffset(name, a, b) => write!(f, "`{name}`: offset {a} -> {b}"),
            Self::MemberSize(name, a, b) => write!(f, "`{name}`: size {a} -> {b}"),
            Self::MemberType(name, a, b) => write!(f, "`{name}`: type {a} -> {b}"),
            Self::Value(name, a, b) => write!(f, "`{name}`: value {a} -> {b}"),
            Self::Order => f.write_str("another order"),
        }
    }
}
