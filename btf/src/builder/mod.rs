//! Making and changing BTF.
//!
//! ```text
//! store.rs   the types and strings of a BTF being made; from and to bytes
//! add.rs     new types
//! patch.rs   changes in place
//! ```

mod add;
mod patch;
mod store;

pub use add::{NewEnumerator, NewMember, NewParam};
pub use patch::RawRecord;
pub use store::BtfBuilder;

#[cfg(test)]
mod tests;
