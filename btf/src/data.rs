//! The bytes that BTF lives in: owned, mapped or built in, kept alive by reference counting.

use std::sync::Arc;

/// Anything that holds bytes for as long as it lives, for instance a mapped file.
pub trait Data: AsRef<[u8]> + Send + Sync + 'static {}

impl<T: AsRef<[u8]> + Send + Sync + 'static + ?Sized> Data for T {}

/// The bytes of a BTF section, shared and not copied.
#[derive(Clone)]
pub struct BtfData(Arc<dyn Data>);

impl BtfData {
    /// Takes bytes of any kind without copying them: a `Vec<u8>`, a `&'static [u8]`, a mapping.
    #[must_use]
    pub fn new(data: impl Data) -> Self {
        Self(Arc::new(data))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl std::fmt::Debug for BtfData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BtfData({} bytes)", self.bytes().len())
    }
}

impl From<Vec<u8>> for BtfData {
    fn from(data: Vec<u8>) -> Self {
        Self::new(data)
    }
}

impl<T: Data> From<Arc<T>> for BtfData {
    fn from(data: Arc<T>) -> Self {
        Self(data)
    }
}

/// Copies the bytes; [`BtfData::new`] takes `&'static [u8]` without a copy.
impl From<&[u8]> for BtfData {
    fn from(data: &[u8]) -> Self {
        Self::new(data.to_vec())
    }
}
