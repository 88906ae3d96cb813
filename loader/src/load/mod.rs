//! The steps of a load.
//!
//! ```text
//! memlock.rs   the limit that old kernels charge maps to
//! maps.rs      maps: reused or created, filled, frozen, pinned
//! programs.rs  programs: fds put into instructions, loaded
//! verifier.rs  what the verifier's log says about a refusal
//! ```

pub(crate) mod maps;
pub(crate) mod memlock;
pub(crate) mod programs;
pub(crate) mod verifier;

use std::collections::HashMap;
use std::path::Path;

use purebpf_handles::{BtfObject, Map};

use crate::RunningKernel;

/// One load that is going on.
pub(crate) struct Session<'a> {
    pub(crate) kernel: &'a RunningKernel,
    pub(crate) pin_root: &'a Path,
    pub(crate) given: &'a HashMap<String, Map>,
    pub(crate) btf: Option<BtfObject>,
    /// Maps that this load pinned.
    pub(crate) pinned: Vec<Map>,
}

impl Session<'_> {
    /// Takes back the pins of a load that failed.
    pub(crate) fn unpin(&mut self) {
        for map in self.pinned.drain(..).rev() {
            if let Err(error) = map.unpin() {
                log::warn!("map `{}` stays pinned: {error}", map.name());
            }
        }
    }
}
