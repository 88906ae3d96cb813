//! What programs and user space send each other.
//!
//! ```text
//! ring.rs       ring buffers (BPF_MAP_TYPE_RINGBUF): the reader and its records
//! pages.rs      their memory, and the search for records in it
//! perf.rs       perf buffers (BPF_MAP_TYPE_PERF_EVENT_ARRAY): the same, for each CPU
//! perf_pages.rs their memory
//! user_ring.rs  user ring buffers (BPF_MAP_TYPE_USER_RINGBUF): the other way
//! wait.rs       waiting for any of them
//! ```

mod pages;
mod perf;
mod perf_pages;
mod ring;
mod user_ring;
mod wait;

pub use perf::{PerfBuffer, PerfBufferOptions, PerfRecord, PerfSample};
pub use ring::{Record, RingBuffer};
pub use user_ring::{Reservation, UserRingBuffer};
