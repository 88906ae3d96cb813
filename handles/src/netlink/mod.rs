//! netlink: requests to the kernel's network, for what `bpf(2)` cannot do.
//!
//! ```text
//! message.rs  requests, answers and their attributes
//! socket.rs   a socket that asks and waits for the answers
//! link.rs     network devices        tc.rs  queueing disciplines and filters
//! route.rs    routes
//! generic.rs  families that have names instead of numbers
//! ```

pub(crate) mod generic;
pub(crate) mod link;
mod message;
pub(crate) mod route;
mod socket;
pub(crate) mod tc;

pub use message::Answer;
pub(crate) use message::{Kind, Request, attribute, nested, text};
pub(crate) use socket::Socket;
pub use socket::{NetlinkError, take};
