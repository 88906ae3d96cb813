//! What a program can be attached to: a small struct for each mechanism.
//!
//! ```text
//! tracepoint.rs  raw_tracepoint.rs  trace.rs          tracing by a name known to the kernel
//! freplace.rs                                         functions of other programs
//! kprobe.rs      uprobe.rs          perf_event.rs     tracing through a perf event (perf.rs)
//! kprobe_multi.rs  uprobe_multi.rs  tracing_multi.rs  many places at once
//! usdt.rs  usdt_specs.rs                              static probes, and what programs are told of them
//! xdp.rs  tcx.rs  cgroup.rs  netfilter.rs  netns.rs  sockmap.rs    the network
//! tc.rs  qdisc.rs                                     traffic control without tcx
//! socket.rs  lwt.rs  lirc.rs                          single sockets, routes, infrared receivers
//! device.rs                                           network devices
//! direct.rs  query.rs                                 attaching without links, what is attached
//! iter.rs                                             iterators
//! struct_ops.rs                                       functions that the kernel calls
//! first_of.rs                                         the first of several places
//! source.rs                                           functions and lines by debug information
//! section.rs  glob.rs                                 section names, patterns
//! binary.rs  archive.rs  debug_file.rs                files of the host
//! kernel_symbols.rs                                   functions of the kernel
//! ```

mod archive;
mod binary;
mod cgroup;
mod create;
mod debug_file;
mod device;
mod direct;
mod first_of;
mod freplace;
mod glob;
mod iter;
mod kernel_symbols;
mod kprobe;
mod kprobe_multi;
mod lirc;
mod lwt;
mod netfilter;
mod netns;
mod perf;
mod perf_event;
mod qdisc;
mod query;
mod raw_tracepoint;
mod section;
mod socket;
mod sockmap;
#[cfg(feature = "dwarf")]
mod source;
mod struct_ops;
mod tc;
mod tcx;
mod trace;
mod tracepoint;
mod tracing_multi;
mod uprobe;
mod uprobe_multi;
mod usdt;
mod usdt_specs;
mod xdp;

use crate::{Error, Link, Program};

pub use binary::resolve_binary;
pub use cgroup::{Cgroup, CgroupMode};
pub use device::Device;
pub use first_of::FirstOf;
pub use freplace::Freplace;
pub use iter::Iter;
pub use kprobe::Kprobe;
pub use kprobe_multi::KprobeMulti;
pub use lirc::Lirc;
pub use lwt::Lwt;
pub use netfilter::Netfilter;
pub use netns::Netns;
pub use perf::ProbeMode;
pub use perf_event::PerfEvent;
pub use qdisc::{Qdisc, TcParent};
pub use query::{Attached, AttachedProgram};
pub use raw_tracepoint::RawTracepoint;
pub use socket::Socket;
pub use sockmap::Sockmap;
#[cfg(feature = "dwarf")]
pub use source::SourcePlace;
pub use struct_ops::StructOps;
pub use tc::{Tc, TcFilter};
pub use tcx::{Netkit, Place, Tcx};
pub use trace::Trace;
pub use tracepoint::Tracepoint;
pub use tracing_multi::TracingMulti;
pub use uprobe::Uprobe;
pub use uprobe_multi::UprobeMulti;
pub use usdt::Usdt;
pub use xdp::{Xdp, XdpFeatures, XdpInfo, XdpMode};

/// What reads texts of the kernel, without a kernel: for fuzzing, and not for others.
#[doc(hidden)]
pub mod texts {
    pub use super::glob::matches;
    pub use super::kprobe_multi::{listed_address, symbol_address};
    pub use super::perf::config_bit;
    pub use super::usdt::moved_in;
}

/// Something that a program can be attached to, see [`Program::attach`].
pub trait Target {
    /// Attaches the program.
    ///
    /// # Errors
    /// A target that is not there, a program of another type, a kernel without the mechanism.
    fn attach(&self, program: &Program) -> Result<Link, Error>;
}

impl<T: Target + ?Sized> Target for &T {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        (**self).attach(program)
    }
}

impl<T: Target + ?Sized> Target for Box<T> {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        (**self).attach(program)
    }
}
