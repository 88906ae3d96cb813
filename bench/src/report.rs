//! What each side makes of an object, in a form in which they can be compared.

use serde::{Deserialize, Serialize};

/// Both sides of one object.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub file: String,
    pub libbpf: Side,
    pub ours: Side,
}

/// One side.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Side {
    /// Why it could not be opened.
    pub open_error: Option<Failure>,
    /// Why the object as a whole could not be loaded.
    pub whole_error: Option<Failure>,
    pub maps: Vec<MapRow>,
    /// What became of each map, created by itself.
    pub created: Vec<MapResult>,
    pub programs: Vec<ProgramRow>,
}

/// Why something failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failure {
    pub errno: i32,
    /// What was said of it, the first first.
    pub messages: Vec<String>,
    /// Whether the kernel refused it; else it was never asked.
    pub by_kernel: bool,
}

impl Failure {
    pub fn text(&self) -> String {
        match self.messages.as_slice() {
            [] => format!("errno {}", self.errno),
            messages => messages.join("; "),
        }
    }
}

/// A map as it is created.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapRow {
    pub name: String,
    pub ty: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
    pub extra: u64,
    pub numa_node: u32,
    pub ifindex: u32,
    pub key_type: u32,
    pub value_type: u32,
    pub pin: Option<String>,
    pub autocreate: bool,
    /// Of variables: their bytes, without zeros at the end.
    pub contents: Vec<u8>,
    /// As it is declared.
    pub inner: Option<Box<Self>>,
}

/// A map, created by itself: an object without programs and other maps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct MapResult {
    pub name: String,
    /// What the kernel says of it, once it is there.
    pub kernel: Option<KernelMap>,
    pub failure: Option<Failure>,
}

/// A map as the kernel knows it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelMap {
    pub name: String,
    pub ty: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
    pub extra: u64,
    /// Types of key and value in the object's BTF, and of the value in the kernel's.
    pub types: [u32; 3],
    /// Whether the value's type is of a module's BTF.
    pub of_module: bool,
}

/// A program, whether loaded by itself or only planned.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ProgramRow {
    pub name: String,
    pub section: String,
    /// Final instructions as numbers, with fds zeroed; none if it never came so far.
    pub insns: Option<Vec<u64>>,
    /// Which instructions refer to which map.
    pub maps: Vec<(usize, String)>,
    /// Records of two words.
    pub func_info: Vec<u32>,
    /// Records of four words.
    pub line_info: Vec<u32>,
    pub loaded: bool,
    /// The expected attach type that it is loaded with.
    pub attach_type: Option<u32>,
    /// What the kernel says of it, once it is loaded.
    pub kernel: Option<KernelProgram>,
    pub failure: Option<Failure>,
}

/// A program as the kernel knows it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelProgram {
    pub name: String,
    pub ty: u32,
    /// The hash of its instructions, if it is the same each time.
    pub tag: Option<[u8; 8]>,
    pub is_gpl: bool,
    /// How many maps it uses or is bound to.
    pub maps: u32,
    pub has_btf: bool,
    /// Records of functions and of lines.
    pub functions: u32,
    pub lines: u32,
    /// Instructions that the verifier walked through.
    pub verified: u32,
    /// The BTF with its target, and the type there.
    pub target: [u32; 2],
}

impl Side {
    pub fn opened(&self) -> bool {
        self.open_error.is_none()
    }

    pub fn whole(&self) -> bool {
        self.opened() && self.whole_error.is_none()
    }

    pub fn program(&self, name: &str) -> Option<&ProgramRow> {
        self.programs.iter().find(|program| program.name == name)
    }
}

/// Bytes without the zeros at their end.
pub fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.iter().rposition(|byte| *byte != 0);
    bytes[..len.map_or(0, |last| last + 1)].to_vec()
}
