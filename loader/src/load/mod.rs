//! The steps of a load.
//!
//! ```text
//! memlock.rs   the limit that old kernels charge maps to
//! token.rs     the right to load, where a bpffs delegates it
//! btf.rs       the object's BTF
//! maps.rs      maps: reused or created, filled, frozen, pinned; pins.rs: pins, to be taken back
//! programs.rs  programs: fds put into instructions, loaded
//! verifier.rs  what the verifier's log says about a program; hints.rs: what can be done about it
//! ```

pub(crate) mod btf;
pub(crate) mod hints;
pub(crate) mod maps;
pub(crate) mod memlock;
mod pins;
pub(crate) mod programs;
pub(crate) mod token;
mod verifier;

use std::collections::HashMap;
use std::path::PathBuf;

use purebpf_handles::{BtfObject, Map, Program};

use crate::RunningKernel;
pub(crate) use pins::Pins;

/// What the steps of one load share.
#[derive(Debug)]
pub(crate) struct Session {
    /// With the token that every call is allowed by, if there is one.
    pub(crate) kernel: RunningKernel,
    pub(crate) pin_root: PathBuf,
    /// Pins that others could have made are refused.
    pub(crate) trusted_pins: bool,
    /// Maps that stand for maps of the object, by name.
    pub(crate) given: HashMap<String, Map>,
    /// Programs whose functions programs of the object are attached to, by the latter's name.
    pub(crate) targets: HashMap<String, Program>,
    pub(crate) btf: Option<BtfObject>,
    pub(crate) pins: Pins,
}
