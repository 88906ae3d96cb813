//! struct_ops maps that are registered without a link: they stay so until their element is deleted.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::{Error, Map};

/// A registered map; unregistered when dropped.
pub(crate) struct Registered(Mutex<Option<Map>>);

impl Registered {
    pub(crate) fn new(map: &Map) -> Self {
        Self(Mutex::new(Some(map.clone())))
    }

    /// Unregisters it; once more does nothing.
    pub(crate) fn unregister(&self) -> Result<(), Error> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = &*map {
            map.delete(&0u32.to_ne_bytes())?;
        }
        *map = None;
        Ok(())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Err(error) = self.unregister() {
            log::warn!("{error}");
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registered")
    }
}
