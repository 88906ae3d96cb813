//! Making and changing BTF.
//!
//! ```text
//! store.rs   the types and strings of a BTF being made; from and to bytes
//! add.rs     new types
//! copy.rs    types of another BTF
//! patch.rs   changes in place
//! ```

mod add;
mod copy;
mod patch;
mod store;

pub use add::{NewEnumerator, NewMember, NewParam};
pub use patch::RawRecord;
pub use store::BtfBuilder;

pub(crate) use copy::Copy;

#[cfg(test)]
mod tests;
