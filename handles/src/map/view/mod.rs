//! Views: a map as what its type is for, checked once.
//!
//! ```text
//! check.rs     what a view asks of a map, and how it is checked      layout.rs  fields, against BTF
//! array.rs     arrays, by index                 prefix.rs   keys of LPM tries
//! queue.rs     queues, stacks, bloom filters    storage.rs  values of sockets, tasks, files, cgroups
//! objects.rs   maps of maps, arrays of programs, of perf events, of cgroups
//! redirect.rs  where packets are sent: sockets, devices, CPUs
//! stacks.rs    stack traces
//! ```
//!
//! | type of map | as |
//! | --- | --- |
//! | hash, LRU hash | [`Map::typed`](crate::Map::typed) |
//! | per-CPU hash, LRU per-CPU hash | [`Map::typed_per_cpu`](crate::Map::typed_per_cpu) |
//! | LPM trie | [`Map::typed`](crate::Map::typed) with [`Prefix`] as the key |
//! | array | [`Array`], or [`Map::memory`](crate::Map::memory) |
//! | per-CPU array | [`PerCpuArray`] |
//! | queue, stack | [`Queue`] |
//! | bloom filter | [`BloomFilter`] |
//! | stack trace | [`StackTraces`] |
//! | sockmap, sockhash, array of a reuseport group, xskmap | [`Sockets`] |
//! | devmap, hash of devices | [`DevMap`] |
//! | cpumap | [`CpuMap`] |
//! | storage of cgroups, inodes, sockets, tasks | [`Storage`] |
//! | array of maps, hash of maps | [`MapOfMaps`] |
//! | program array | [`ProgramArray`] |
//! | perf event array, cgroup array | [`FdArray`] |
//! | arena | [`Map::memory`](crate::Map::memory) |
//! | ring buffers | [`RingBuffer`](crate::RingBuffer), [`UserRingBuffer`](crate::UserRingBuffer) |

mod array;
mod check;
mod layout;
mod objects;
mod prefix;
mod queue;
mod redirect;
mod stacks;
mod storage;

pub use array::{Array, PerCpuArray};
pub use check::{Checked, View};
pub use layout::{Field, Layout, field_size};
pub use objects::{FdArray, MapOfMaps, ProgramArray};
pub use prefix::Prefix;
pub use queue::{BloomFilter, Queue};
pub use redirect::{CpuMap, DevMap, Redirect, Sockets};
pub use stacks::{Frame, StackTraces};
pub use storage::Storage;
