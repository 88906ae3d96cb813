//! Maps, programs and links in the kernel, as owned handles.
//!
//! ```text
//! map/      maps and their elements            program/  programs and test runs
//! link/     programs that are attached         attach/   what they can be attached to
//! buffer/   readers of ring buffers            btf.rs    token.rs
//! object.rs how all three are opened, pinned   pin.rs    paths that keep objects alive
//! pinned.rs what is pinned, all of it
//! id.rs     walks through all objects          tracefs.rs  where tracing is
//! symbols.rs  names of addresses in the kernel     nearest.rs  names much like one that is missing
//! netlink/  requests to the network            error.rs
//! ```
//!
//! A handle ([`Map`], [`Program`], [`Link`], [`BtfObject`], [`Token`]) is an `Arc` around an fd and what
//! is known of it: cheap to clone, usable from any thread, the same whether the object was created,
//! loaded, or opened by id, by path or by fd. It refers to nothing but the kernel's object, which the
//! kernel keeps as long as the handle is there.

#![forbid(unsafe_code)]

pub mod attach;
mod btf;
pub mod buffer;
mod error;
mod id;
#[cfg(test)]
#[path = "../../syscall/tests/layout/mod.rs"]
mod layout;
pub mod link;
pub mod map;
mod nearest;
mod netlink;
mod object;
pub mod pin;
mod pinned;
pub mod program;
mod symbols;
mod token;
pub mod tracefs;

pub use btf::BtfObject;
pub use buffer::{
    PerfBuffer, PerfBufferOptions, PerfRecord, PerfSample, Record, Reservation, RingBuffer,
    UserRingBuffer,
};
pub use error::Error;
pub use id::{BtfId, LinkId, MapId, ProgramId};
pub use link::Link;
pub use map::{Global, Map, MapAttributes, Memory, TypedMap, TypedPerCpuMap, UpdateFlags};
pub use nearest::Nearest;
pub use netlink::NetlinkError;
pub use pinned::{Pinned, PinnedObject, Pins, pins};
pub use program::{Program, ProgramAttributes, RunStatistics, TestRun, TestRunResult};
pub use purebpf_syscall::{
    BtfInfo, CallError, Errno, IterDetails, LinkDetails, LinkInfo, MapInfo, ProgInfo as ProgramInfo,
};
pub use symbols::{KernelSymbol, KernelSymbols};
pub use token::Token;

/// What reads messages of netlink, without a kernel: for fuzzing, and not for others.
#[doc(hidden)]
pub mod messages {
    pub use crate::netlink::link::Device;
    pub use crate::netlink::tc::Filter;
    pub use crate::netlink::{Answer, take};
}
