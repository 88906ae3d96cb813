//! The things that a relocation can ask.

use crate::error::{Error, Result};

/// What a CO-RE relocation asks (`enum bpf_core_relo_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum RelocationKind {
    /// `BPF_CORE_FIELD_BYTE_OFFSET`: bytes between the start of the type and the field.
    FieldByteOffset = 0,
    /// `BPF_CORE_FIELD_BYTE_SIZE`: bytes of the field.
    FieldByteSize = 1,
    /// `BPF_CORE_FIELD_EXISTS`: 1 if the field exists, else 0.
    FieldExists = 2,
    /// `BPF_CORE_FIELD_SIGNED`: 1 if the field is signed, else 0.
    FieldSigned = 3,
    /// `BPF_CORE_FIELD_LSHIFT_U64`: left shift that brings a bit-field to the top of 64 bits.
    FieldLshift = 4,
    /// `BPF_CORE_FIELD_RSHIFT_U64`: right shift that then brings it to the bottom.
    FieldRshift = 5,
    /// `BPF_CORE_TYPE_ID_LOCAL`: the type's id in the object's own BTF.
    TypeIdLocal = 6,
    /// `BPF_CORE_TYPE_ID_TARGET`: the type's id in the kernel's BTF.
    TypeIdTarget = 7,
    /// `BPF_CORE_TYPE_EXISTS`: 1 if the kernel has a compatible type, else 0.
    TypeExists = 8,
    /// `BPF_CORE_TYPE_SIZE`: bytes of the type.
    TypeSize = 9,
    /// `BPF_CORE_ENUMVAL_EXISTS`: 1 if the enumerator exists, else 0.
    EnumvalExists = 10,
    /// `BPF_CORE_ENUMVAL_VALUE`: the enumerator's value.
    EnumvalValue = 11,
    /// `BPF_CORE_TYPE_MATCHES`: 1 if the kernel has a matching type, else 0.
    TypeMatches = 12,
}

/// What a relocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Field,
    Type,
    Enumval,
}

impl RelocationKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::FieldByteOffset,
        Self::FieldByteSize,
        Self::FieldExists,
        Self::FieldSigned,
        Self::FieldLshift,
        Self::FieldRshift,
        Self::TypeIdLocal,
        Self::TypeIdTarget,
        Self::TypeExists,
        Self::TypeSize,
        Self::EnumvalExists,
        Self::EnumvalValue,
        Self::TypeMatches,
    ];

    /// The kind with this number.
    ///
    /// # Errors
    /// [`Error::RelocationKind`] for a number above 12.
    pub fn from_number(number: u32) -> Result<Self> {
        let kind = usize::try_from(number)
            .ok()
            .and_then(|number| Self::ALL.get(number));
        kind.copied().ok_or(Error::RelocationKind(number))
    }

    /// The name that libbpf prints.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FieldByteOffset => "byte_off",
            Self::FieldByteSize => "byte_sz",
            Self::FieldExists => "field_exists",
            Self::FieldSigned => "signed",
            Self::FieldLshift => "lshift_u64",
            Self::FieldRshift => "rshift_u64",
            Self::TypeIdLocal => "local_type_id",
            Self::TypeIdTarget => "target_type_id",
            Self::TypeExists => "type_exists",
            Self::TypeSize => "type_size",
            Self::EnumvalExists => "enumval_exists",
            Self::EnumvalValue => "enumval_value",
            Self::TypeMatches => "type_matches",
        }
    }

    pub(crate) const fn class(self) -> Class {
        match self {
            Self::FieldByteOffset
            | Self::FieldByteSize
            | Self::FieldExists
            | Self::FieldSigned
            | Self::FieldLshift
            | Self::FieldRshift => Class::Field,
            Self::TypeIdLocal
            | Self::TypeIdTarget
            | Self::TypeExists
            | Self::TypeSize
            | Self::TypeMatches => Class::Type,
            Self::EnumvalExists | Self::EnumvalValue => Class::Enumval,
        }
    }
}

impl std::fmt::Display for RelocationKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbered_in_order() {
        for (number, kind) in RelocationKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert_eq!(RelocationKind::from_number(number as u32).unwrap(), kind);
        }
        assert!(matches!(
            RelocationKind::from_number(13),
            Err(Error::RelocationKind(13))
        ));
    }
}
