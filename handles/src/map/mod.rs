//! Maps: creating and opening them, and access to their elements.
//!
//! ```text
//! attributes.rs  what a map is created with
//! handle.rs      the handle: create, open, pin, what is known of it
//! elements.rs    look-up, update, delete, keys, as bytes
//! keys.rs        walks through keys
//! per_cpu.rs     the same where each CPU has a value of its own
//! batch.rs       many elements in one call
//! typed.rs       keys and values as Rust types
//! view/          maps as what their types are for
//! memory.rs      the value of an array, mapped; global.rs: one variable in it
//! ```

mod attributes;
mod batch;
mod elements;
mod global;
mod handle;
mod keys;
mod memory;
mod per_cpu;
mod typed;
pub mod view;

pub use attributes::MapAttributes;
pub use batch::{Batch, Batches};
pub use elements::UpdateFlags;
pub use global::Global;
pub use handle::Map;
pub use keys::Keys;
pub use memory::Memory;
pub use typed::{TypedMap, TypedPerCpuMap};
