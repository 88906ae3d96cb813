//! The number of a type.

/// The number of a type inside its BTF; a split BTF goes on counting where its base ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The type without a record: `void`, or "no type".
    pub const VOID: Self = Self(0);

    /// Whether this is `void`.
    #[must_use]
    pub const fn is_void(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for TypeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}]", self.0)
    }
}
