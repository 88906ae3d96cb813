//! Owned bytes that are cheap to clone and to cut: what every part of a file is handed out as.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// A part of shared, immutable bytes. A clone or a slice copies nothing.
#[derive(Clone, Default)]
pub struct Bytes {
    /// Of no bytes, nobody.
    owner: Option<Arc<dyn AsRef<[u8]> + Send + Sync>>,
    range: Range<usize>,
}

impl Bytes {
    /// Takes `owner` (a `Vec<u8>`, a `&'static [u8]`, a mapping, ...) as the owner of the bytes.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        let range = 0..owner.as_ref().len();
        Self {
            owner: Some(Arc::new(owner)),
            range,
        }
    }

    /// The part `range` of these bytes, if they are that long.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let start = self.range.start.checked_add(range.start)?;
        let end = self.range.start.checked_add(range.end)?;
        (start <= end && end <= self.range.end).then(|| Self {
            owner: self.owner.clone(),
            range: start..end,
        })
    }

    fn as_slice(&self) -> &[u8] {
        let all = self.owner.as_ref().map(|owner| (**owner).as_ref());
        // An owner whose length changes would leave nothing, never another part.
        all.and_then(|all| all.get(self.range.clone()))
            .unwrap_or_default()
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(bytes: &[u8; N]) -> Self {
        Self::new(bytes.to_vec())
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Bytes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_share_and_stay_inside() {
        let bytes = Bytes::from(vec![1, 2, 3, 4, 5]);
        let part = bytes.slice(1..4).unwrap();
        assert_eq!(&*part, [2, 3, 4]);
        assert_eq!(&*part.slice(1..3).unwrap(), [3, 4]);
        assert_eq!(part.slice(1..4), None);
        assert_eq!(part.slice(usize::MAX..usize::MAX), None);
    }
}
