//! libbpf's object model in pure Rust: BPF maps, programs and links as owned handles.
//!
//! An object file is read into an [`ObjectSpec`], which can be edited; a [`Loader`] puts it into
//! the running kernel and returns an [`Object`]; its [`Map`]s, [`Program`]s and [`Link`]s are
//! handles that belong to whoever holds them: `Clone`, `Send`, `Sync` and `'static`, alive for as
//! long as any clone is, whatever becomes of the object.
//!
//! ```no_run
//! use purebpf::{ObjectSpec, RingBuffer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut spec = ObjectSpec::open("probe.bpf.o")?; // no kernel yet
//! spec.map_mut("events")?.max_entries = 1 << 20;
//! spec.set_global("target_pid", 42u32)?;
//! let object = purebpf::load(&spec)?;
//!
//! let events = object.map("events")?; // an owned handle
//! let links = object.attach_all()?; // what the section names say
//! drop(object); // events and links live on
//!
//! let mut ring = RingBuffer::new(&events)?;
//! while ring.wait(None)? {
//!     while let Some(record) = ring.next()? {
//!         println!("{} bytes", record.len());
//!     }
//! }
//! # drop(links);
//! # Ok(())
//! # }
//! ```
//!
//! Reading and planning ([`ObjectSpec`], [`btf`], [`elf`], [`plan`]) is pure: it runs without
//! privileges, on any operating system, for any target kernel.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use purebpf_btf as btf;
pub use purebpf_elf as elf;
pub use purebpf_handles as handles;
pub use purebpf_handles::attach;
pub use purebpf_insn as insn;
pub use purebpf_loader as loader;
pub use purebpf_plan as plan;

/// Light loading: objects turned into programs that load them, kept as data.
///
/// [`LightLoader::generate`](light::LightLoader::generate) writes such a program, [`run`](light::run)
/// runs it; the command `purebpf gen loader` keeps one in a file.
pub mod light {
    pub use purebpf_loader::light::{LightOptions, run};
    pub use purebpf_plan::light::{ContextLayout, LightLoader, LightMap, LightProgram};
}

pub use purebpf_handles::{BtfObject, Global, Link, Map, Program, RingBuffer};
pub use purebpf_insn::{AttachType, LinkType, MapFlags, MapType, ProgramFlags, ProgramType};
pub use purebpf_loader::{Error, Loader, Object, Prepared, RunningKernel, load};
pub use purebpf_plan::{MapSpec, ObjectSpec, ProgramSpec};
