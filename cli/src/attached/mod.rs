//! What is attached where.
//!
//! ```text
//! net.rs     purebpf net: network devices, the network name space
//! cgroup.rs  purebpf cgroup: a cgroup, or all of them
//! perf.rs    purebpf perf: tracepoints and probes that processes hold
//! row.rs     what all three show: a program, its place and what else there is to say
//! ```

pub(crate) mod cgroup;
pub(crate) mod net;
pub(crate) mod perf;
mod row;

pub(crate) use row::{Row, show};
