//! What a file declares: maps, programs, variables, externs. Plain data, editable, no kernel.
//!
//! ```text
//! object.rs   ObjectSpec: look up and edit
//! open.rs     from a file to an ObjectSpec
//! section.rs  the SEC() table, and rows of a user's own
//! program.rs  one program        map.rs   one map, and how BTF defines it
//! slots.rs    initial values of maps of maps and program arrays
//! global.rs   variables and the maps that hold them; resize.rs: other sizes for them
//! extern_.rs  what is expected of the kernel
//! code.rs     functions and what their instructions refer to; calls.rs: which call which
//! struct_ops.rs   structs with functions that the kernel calls
//! legacy_maps.rs  maps as files defined them before BTF
//! ```

mod calls;
pub(crate) mod code;
pub(crate) mod extern_;
pub(crate) mod global;
mod legacy_maps;
pub(crate) mod lines;
pub(crate) mod map;
mod object;
mod open;
mod program;
mod resize;
pub(crate) mod section;
mod slots;
pub(crate) mod struct_ops;

pub use global::{Variable, variables};
pub use map::{MapOrigin, MapSpec, PinPolicy, Slot};
pub use object::{ObjectSpec, OpenOptions};
pub use program::ProgramSpec;
pub use section::{SectionDefinition, SectionFlags, program_type_of, section_definition};
pub use struct_ops::StructOpsSpec;
