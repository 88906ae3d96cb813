//! The pins of a load: taken back if it fails.

use std::path::PathBuf;

use purebpf_handles::Map;

use super::maps;
use crate::Error;

/// What a load pinned, and what it is to pin in the end. Dropping it takes the pins back.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    made: Vec<Map>,
    replacing: Vec<(Map, PathBuf)>,
}

impl Pins {
    /// A pin that was made.
    pub(crate) fn add(&mut self, map: &Map) {
        self.made.push(map.clone());
    }

    /// A map that takes the place of what is pinned, once everything is loaded.
    pub(crate) fn replace_at_end(&mut self, map: &Map, path: PathBuf) {
        self.replacing.push((map.clone(), path));
    }

    /// Everything is loaded: the pins stay.
    pub(crate) fn keep(mut self) -> Result<(), Error> {
        for (map, path) in self.replacing.drain(..) {
            map.pin_replacing(path)
                .map_err(maps::failed(map.name(), "pinning it"))?;
        }
        self.made.clear();
        Ok(())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        for map in self.made.drain(..).rev() {
            // Nobody is left to try again.
            if let Err(error) = map.unpin().or_else(|_| map.unpin()) {
                log::warn!("map `{}` stays pinned: {error}", map.name());
            }
        }
    }
}
