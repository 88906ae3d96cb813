//! The kernel's door: `bpf(2)` and the few other system calls that BPF needs, as safe functions.
//!
//! ```text
//! call.rs        bpf(2) itself: commands, retries, new fds     attr.rs  its attribute blocks
//! map.rs         maps and their elements      prog.rs  load, run      attach.rs, link_create.rs  links and others
//! loader_program.rs  programs that load others
//! object.rs      pins, ids, BTF, tokens       info.rs, link_info.rs, link_block.rs   what the kernel tells
//! shared.rs      structs that are the kernel's too
//! perf.rs        perf events                  epoll.rs  waiting       fs.rs  file systems
//! mapping.rs     shared memory                kernel_file.rs  files of /sys
//! log.rs         what the kernel disliked
//! host.rs        CPUs, version, rights        probe.rs  odd questions
//! socket.rs      programs on sockets        namespace.rs  calls in other network name spaces
//! task_fd.rs     programs behind the fds of processes      answers.rs  what the kernel tells, without it
//! error.rs       what the kernel answered
//! ```
//!
//! The only crate of purebpf with `unsafe`: slices and borrowed fds go in, owned fds and plain values
//! come out, every fd is close-on-exec and above 2. Nothing here knows what a program or map is for.

#![allow(
    trivial_numeric_casts,
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types of C differ between machines"
)]

#[doc(hidden)]
pub mod answers;
mod attach;
mod attr;
mod call;
mod epoll;
mod error;
pub mod fs;
pub mod host;
mod info;
mod kernel_file;
#[cfg(test)]
#[path = "../tests/layout/mod.rs"]
mod layout;
mod link_block;
mod link_create;
mod link_info;
mod loader_program;
mod log;
mod map;
mod mapping;
mod namespace;
mod object;
pub mod perf;
pub mod probe;
mod prog;
mod shared;
mod socket;
mod task_fd;

pub use attach::{
    AttachPoint, ProgAttach, QueryEntry, QueryMore, QueryOutcome, Relative, iter_create,
    link_detach, link_update, prog_attach, prog_detach, prog_query, raw_tracepoint_open,
};
pub use call::{duplicate, raise, retire};
pub use epoll::Epoll;
pub use error::{CallError, ENOTSUPP};
pub use info::{
    BtfInfo, MapInfo, ProgInfo, btf_data, btf_info, kind_of, map_info, prog_info,
    prog_instructions, prog_jited, prog_jited_functions, prog_line_info, prog_map_ids,
};
pub use kernel_file::{KernelFile, map_kernel_file};
pub use link_create::{IterTarget, LinkCreate, LinkOptions, link_create};
pub use link_info::{IterDetails, LinkDetails, LinkInfo, link_info};
pub use loader_program::{LoaderRun, prog_run_loader};
pub use log::Log;
pub use map::{
    BatchCursor, BatchOutcome, ELEMENT_ALL_CPUS, ELEMENT_CPU, MapCreate, MapFd, MapShape,
    is_per_cpu,
};
pub use mapping::{MapRequest, Mapping, Modify, Word};
pub use namespace::{in_network_namespace, network_namespace};
pub use nix::errno::Errno;
pub use object::{
    ObjectKind, btf_load, enable_stats, fd_by_id, next_id, obj_get, obj_pin, token_create,
};
pub use prog::{
    ProgLoad, Records, TestRun, TestRunOutcome, prog_assoc_struct_ops, prog_bind_map, prog_load,
    prog_stream_read, prog_test_run,
};
pub use socket::{SocketProgram, socket_attach, socket_detach};
pub use task_fd::{TaskFdInfo, task_fd_query};
