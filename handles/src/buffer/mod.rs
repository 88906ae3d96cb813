//! What programs and user space send each other.
//!
//! ```text
//! ring.rs         ring buffers (BPF_MAP_TYPE_RINGBUF): the reader and its records
//! pages.rs        their memory, and the search for records in it
//! perf.rs         perf buffers (BPF_MAP_TYPE_PERF_EVENT_ARRAY): the same, for each CPU
//! perf_options.rs how they are made    perf_record.rs  what comes out    perf_pages.rs  their memory
//! user_ring.rs    user ring buffers (BPF_MAP_TYPE_USER_RINGBUF): the other way    user_pages.rs  their memory
//! wait.rs         waiting for any of them
//! tokio.rs        awaiting records
//! ```

mod pages;
mod perf;
mod perf_options;
mod perf_pages;
mod perf_record;
mod ring;
#[cfg(feature = "tokio")]
mod tokio;
mod user_pages;
mod user_ring;
mod wait;

pub use perf::PerfBuffer;
pub use perf_options::PerfBufferOptions;
pub use perf_record::{PerfRecord, PerfSample};
pub use ring::{Record, RingBuffer};
#[cfg(feature = "tokio")]
pub use tokio::{Async, Reader, Records};
pub use user_ring::{Reservation, UserRingBuffer};

/// What readers do in shared memory, without a map: for models and fuzzing, and not for others.
#[doc(hidden)]
pub mod memory {
    pub use super::pages::{Corrupt, Pages, Place, Shared};
    pub use super::perf_pages::{PerfHeader, PerfPages, PerfPlace};
    pub use super::perf_record::record;
    pub use super::user_pages::{Room, UserPages};
}
