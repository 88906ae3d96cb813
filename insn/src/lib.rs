//! BPF instructions and the kernel's vocabulary around them.
//!
//! ```text
//! insn.rs     one 8-byte instruction, read and written in either byte order
//! opcode.rs   the bits of the opcode byte
//! kinds.rs    map, program, attach and link types: numbers and names
//! flags.rs    flag words of maps and programs
//! helpers.rs  helper functions: number and name
//! build.rs    instructions by name, for probes and tests
//! disasm.rs   the kernel's own text form
//! verifier/   the verifier's log, taken apart
//! ```
//!
//! Nothing here reads a file or asks the kernel; every number is from `include/uapi/linux/bpf.h`.

#![forbid(unsafe_code)]

pub mod build;
pub mod disasm;
mod flags;
pub mod helpers;
mod insn;
mod kinds;
pub mod opcode;
pub mod verifier;

pub use flags::{MapFlags, ProgramFlags};
pub use insn::{Endian, Insn, InsnError};
pub use kinds::{AttachType, LinkType, MapType, ProgramType};
