//! Readers of what programs send.
//!
//! ```text
//! ring.rs   ring buffers (BPF_MAP_TYPE_RINGBUF): the reader and its records
//! pages.rs  their memory, and the search for records in it
//! ```

mod pages;
mod ring;

pub use ring::{Record, RingBuffer};
