//! Objects that are broken on purpose: who refuses them before the kernel is asked, and why.
//!
//! ```text
//! random.rs  numbers from a seed
//! image.rs   where the tables of an object are
//! edits.rs   the ways to break one
//! run.rs     both sides of so many broken objects, in processes that may crash
//! ```

mod edits;
mod image;
mod random;
mod run;

pub use run::{Arguments, Share, run, share};
