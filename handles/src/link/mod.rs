//! Links: programs that are attached.
//!
//! ```text
//! handle.rs  the handle: open, pin, detach, what is known of it
//! legacy.rs  probes made by name in tracefs, which have to be removed again
//! unlinked.rs  what is attached without a link of the kernel's
//! task_fd.rs  what processes hold attached by perf events
//! ```

mod handle;
mod legacy;
mod task_fd;
mod unlinked;

pub(crate) use handle::Event;
pub use handle::Link;
pub(crate) use legacy::{LegacyProbe, ProbeUnit};
pub use task_fd::{TaskFd, TaskFdPlace};
pub(crate) use unlinked::Unlinked;
