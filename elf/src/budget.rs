//! How much may be taken out of a file.

/// How often the same bytes may be handed out. Linkers share the ends of names, and functions have
/// aliases; a file whose every entry shares the same large part is made to exhaust its reader.
const MAX_OVERLAP: usize = 8;

/// Bytes that may still be taken out of a file, by whatever path: a small multiple of its size.
pub(crate) struct Budget(usize);

impl Budget {
    /// For a file of so many bytes.
    pub(crate) fn of(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self(bytes.saturating_mul(MAX_OVERLAP))
    }

    /// Takes so many; nothing if there are not so many left.
    pub(crate) fn spend(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(())
    }
}
