//! `LightLoader`: the program, its data, and the names of what it makes.

use purebpf_insn::{AttachType, Endian, Insn, MapFlags, MapType, ProgramType};

use super::ContextLayout;

/// The load of an object, as a BPF program that does it and the data it works on.
///
/// It is data: made once, kept in a file or in the source of a program, run wherever the object is
/// to be loaded. Maps and programs are in the order of the context.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "gen_loader_opts")]
pub struct LightLoader {
    /// Name of the object.
    pub name: String,
    /// The byte order of the kernels that it is for.
    pub endian: Endian,
    /// What the program works on: the value of an array map with one element.
    pub data: Vec<u8>,
    /// The program, of type `BPF_PROG_TYPE_SYSCALL`.
    pub insns: Vec<Insn>,
    /// The maps that it creates.
    pub maps: Vec<LightMap>,
    /// The programs that it loads.
    pub programs: Vec<LightProgram>,
}

/// A map that a loader program creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightMap {
    /// Name by which the object knows it.
    pub name: String,
    /// Of a map of variables: its section.
    pub section: Option<String>,
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Elements, bytes or pages, unless the context says otherwise.
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
}

/// A program that a loader program loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightProgram {
    /// Name.
    pub name: String,
    /// Section, which says what it is attached to.
    pub section: String,
    /// Type.
    pub program_type: ProgramType,
    /// Expected attach type.
    pub attach_type: AttachType,
    /// Whether `attach_all` attaches it.
    pub autoattach: bool,
}

impl LightLoader {
    /// A loader that was generated before.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        endian: Endian,
        data: impl Into<Vec<u8>>,
        insns: impl Into<Vec<Insn>>,
    ) -> Self {
        Self {
            name: name.into(),
            endian,
            data: data.into(),
            insns: insns.into(),
            maps: Vec::new(),
            programs: Vec::new(),
        }
    }

    /// Where the fields of the context are.
    #[must_use]
    pub const fn layout(&self) -> ContextLayout {
        ContextLayout::new(self.maps.len(), self.programs.len())
    }

    /// The instructions as bytes, in the byte order of the kernels that they are for.
    #[must_use]
    pub fn insn_bytes(&self) -> Vec<u8> {
        let bytes = self.insns.iter().map(|insn| insn.to_bytes(self.endian));
        bytes.flatten().collect()
    }
}
