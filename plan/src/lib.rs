//! From a BPF object to what exactly will be loaded for a given kernel. Pure: no system call, no
//! global state, no clock.
//!
//! ```text
//! spec/        what the file declares: ObjectSpec, editable
//! kernel.rs    TargetKernel: what may be asked of the kernel; DescribedKernel: one given as data
//! endian.rs    byte orders of BTF and of instructions
//! features.rs  what kernels came to offer over time
//! resolve/     ObjectSpec + TargetKernel -> Plan
//! light/       a load written as a BPF program and its data: LightLoader
//! missing.rs   what a kernel lacks of what an object needs, and where
//! plan.rs      Plan: maps and programs as they will be loaded, names in place of fds
//! ```

#![forbid(unsafe_code)]

mod endian;
mod error;
mod features;
mod kernel;
pub mod light;
mod missing;
mod plan;
mod resolve;
mod spec;

pub use endian::endian_of;
pub use error::{Error, Source};
pub use features::Feature;
pub use kernel::{DescribedKernel, ModuleBtf, TargetKernel};
pub use missing::{Missing, Place, Poison, SourceLine, TriedType};
pub use plan::{
    AttachPlan, Code, Info, InsnReference, KernelType, MapPlan, PinPlan, Plan, ProgramPlan,
    Reference, SlotPlan, StructOpsPlan,
};
pub use spec::{
    MapOrigin, MapSpec, ObjectSpec, OpenOptions, PinPolicy, ProgramSpec, SectionDefinition,
    SectionFlags, Slot, StructOpsSpec, Variable, program_type_of, section_definition, variables,
};
