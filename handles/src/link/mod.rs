//! Links: programs that are attached.
//!
//! ```text
//! handle.rs  the handle: open, pin, detach, what is known of it
//! legacy.rs  probes made by name in tracefs, which have to be removed again
//! registered.rs  struct_ops maps without a link
//! ```

mod handle;
mod legacy;
mod registered;

pub(crate) use handle::Event;
pub use handle::Link;
pub(crate) use legacy::{LegacyProbe, ProbeUnit};
pub(crate) use registered::Registered;
