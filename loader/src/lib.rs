//! Loads a BPF object into the running kernel and returns owned handles.
//!
//! ```text
//! running.rs      the running kernel as a TargetKernel; probe.rs: how its features are found out
//! support.rs      types of programs and maps, helpers: what users may ask of it; answers.rs
//! loader.rs       Loader: options; prepared.rs: Prepared, between maps and programs
//! load/           the steps: token, BTF, maps, pins, programs; verifier.rs: what a refusal means
//! object.rs       Object: names to handles; variables.rs: its variables
//! light.rs        loader programs: run, and what they leave taken over
//! auto_attach.rs  what section names say about attaching
//! by_hand.rs      what the others are attached to, for errors
//! error.rs        one error for all of it: phase, program, map, source line, verifier log, hint;
//! rejection.rs    that of a program that the kernel refused
//! ```
//!
//! A thin shell: what is to be loaded is decided in `purebpf-plan`, without a kernel. A load that
//! fails leaves nothing behind: no fd, no pin, no link.

#![forbid(unsafe_code)]

mod answers;
mod auto_attach;
mod by_hand;
mod error;
pub mod light;
mod load;
mod loader;
mod object;
mod prepared;
mod probe;
mod rejection;
mod running;
mod support;
mod variables;

pub use error::{Error, Phase};
pub use loader::{Loader, load};
pub use object::Object;
pub use prepared::Prepared;
pub use rejection::Rejection;
pub use running::RunningKernel;
