//! `Plan`: exactly what will be loaded, with names in place of file descriptors.

use std::path::PathBuf;
use std::sync::Arc;

use purebpf_btf::{Btf, TypeId};
use purebpf_insn::{AttachType, Endian, Insn, MapFlags, MapType, ProgramFlags, ProgramType};

use crate::{Error, MapOrigin, PinPolicy, Poison, SourceLine};

/// What will be loaded, in order: BTF, maps, programs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// Name of the object.
    pub object: String,
    /// The byte order of the object and of the kernels that may get it. What the kernel takes as bytes
    /// is in it: BTF and the contents of maps. Instructions and [`Info`] are numbers of this machine:
    /// [`Insn::to_bytes`] and [`Info::to_bytes`] write them for the kernel.
    pub endian: Endian,
    /// License of the programs.
    pub license: String,
    /// Kernel version that programs say they are made for.
    pub kernel_version: u32,
    /// The object's BTF as this kernel takes it.
    pub btf: Option<Vec<u8>>,
    /// Every map, created or not, in the object's order.
    pub maps: Vec<MapPlan>,
    /// Every program, to be loaded or not, in the object's order.
    pub programs: Vec<ProgramPlan>,
}

/// Where a map is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinPlan {
    /// Under its name, in the loader's pin root.
    ByName,
    /// At a path.
    At(PathBuf),
}

/// What a slot of a map is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPlan {
    /// A map, by its position in the plan.
    Map(usize),
    /// A program, by its position in the plan.
    Program(usize),
}

/// One map to be created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MapPlan {
    /// Name by which the object knows it.
    pub name: String,
    /// Name that the kernel is given, 15 bytes at most.
    pub kernel_name: String,
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Elements, bytes or pages, as the type has it.
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
    /// Type-specific extra word.
    pub map_extra: u64,
    /// NUMA node.
    pub numa_node: u32,
    /// Network device, for offload.
    pub ifindex: u32,
    /// Type of a key in the object's BTF, if the kernel takes one for this type of map.
    pub key_type: TypeId,
    /// Type of a value in the object's BTF, if the kernel takes one for this type of map.
    pub value_type: TypeId,
    /// SHA-256 of the instructions of the only program that may use it.
    pub exclusive_hash: Option<[u8; 32]>,
    /// For maps of maps: the pattern of an inner map, created and closed with the outer one.
    pub inner: Option<Box<Self>>,
    /// Whether it is created.
    pub autocreate: bool,
    /// Where it comes from.
    pub origin: MapOrigin,
    /// Value of element 0, or of the variables in an arena; zeros where there is none.
    pub contents: Option<Vec<u8>>,
    /// Where in an arena its variables begin, bytes; 0 for every other map.
    pub contents_offset: u32,
    /// Whether user space may not write it any more once it is filled.
    pub freeze: bool,
    /// Slots to fill: index and what.
    pub slots: Vec<(u32, SlotPlan)>,
    /// Where it is pinned.
    pub pin: Option<PinPlan>,
    /// What happens if a map is pinned there already.
    pub pin_policy: PinPolicy,
    /// For struct_ops: the kernel's struct, and where in the value programs go.
    pub struct_ops: Option<StructOpsPlan>,
}

/// A struct_ops map, laid out as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructOpsPlan {
    /// The type of the whole value (`bpf_struct_ops_NAME`).
    pub value: KernelType,
    /// Where the fds of programs go: offset in the value in bytes, and position in the plan. Each
    /// takes 8 bytes.
    pub programs: Vec<(u32, usize)>,
}

/// A type of the running kernel or of one of its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelType {
    /// The module; nothing stands for the kernel itself.
    pub module: Option<Arc<str>>,
    /// Its id there.
    pub id: TypeId,
}

/// What a program says at load that it will be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachPlan {
    /// A type of the kernel: a function, tracepoint, hook or struct.
    Kernel(KernelType),
    /// A function, by name, of a program that the loader is given.
    Program {
        /// Its name.
        function: String,
    },
}

/// What the fd in an instruction has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// That of a map, by its position in the plan; in `imm` of this instruction.
    Map(usize),
    /// That of a module's BTF; in `imm` of the next instruction.
    ModuleBtf(Arc<str>),
    /// That of a map of instructions (6.19) with a jump table of the program, by its position; in
    /// `imm` of this instruction.
    JumpTable(usize),
}

/// An instruction that needs a file descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsnReference {
    /// Which instruction.
    pub insn: usize,
    /// What it needs.
    pub to: Reference,
}

/// Function or line information of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Bytes of a record.
    pub record_size: u32,
    /// The records: words of 32 bits in the byte order of this machine; offsets count instructions
    /// of the program.
    pub records: Vec<u8>,
}

impl Info {
    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        let size = usize::try_from(self.record_size).unwrap_or(0);
        let count = self.records.len().checked_div(size).unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The records as kernels of a byte order take them.
    #[must_use]
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        let mut bytes = self.records.clone();
        if !endian.is_host() {
            bytes
                .as_chunks_mut::<4>()
                .0
                .iter_mut()
                .for_each(|word| word.reverse());
        }
        bytes
    }
}

/// The final instructions of a program.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Code {
    /// The program, then its subprograms; immediates that need an fd are 0.
    pub insns: Vec<Insn>,
    /// The instructions that need an fd, ascending.
    pub references: Vec<InsnReference>,
    /// Modules whose kernel functions are called, in the order of the fd array, which begins at 1.
    pub modules: Vec<Arc<str>>,
    /// Tables of instructions that it jumps to, by index.
    pub jump_tables: Vec<Vec<u32>>,
    /// Function information, if the object has it.
    pub func_info: Option<Info>,
    /// Line information, if the object has it.
    pub line_info: Option<Info>,
    /// What is missing, and where.
    pub poisons: Vec<Poison>,
    pub(crate) btf: Option<Arc<Btf>>,
}

/// One program to be loaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProgramPlan {
    /// Name.
    pub name: String,
    /// Section, without a leading `?`.
    pub section: String,
    /// Type.
    pub program_type: ProgramType,
    /// Expected attach type.
    pub expected_attach_type: AttachType,
    /// Flags.
    pub flags: ProgramFlags,
    /// How much the verifier is to say of it even if it is accepted.
    pub log_level: u32,
    /// Whether it is loaded.
    pub autoload: bool,
    /// Whether `attach_all` attaches it.
    pub autoattach: bool,
    /// Whether the object is loaded without it, should it fail.
    pub optional: bool,
    /// Its instructions, or why they cannot be made.
    pub code: Result<Code, Error>,
    /// What it is attached to, for the types that say so at load; or why that, or the type itself,
    /// is not known.
    pub attach_to: Result<Option<AttachPlan>, Error>,
}

impl ProgramPlan {
    /// The instructions, if the program can be loaded as planned.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self) -> Result<&Code, &Error> {
        let code = self.code.as_ref()?;
        self.attach_to.as_ref().map(|_| code)
    }
}

impl Code {
    /// The source line that an instruction was made from.
    #[must_use]
    pub fn source_line(&self, insn: usize) -> Option<SourceLine> {
        let btf = self.btf.as_deref()?;
        let info = self.line_info.as_ref()?;
        let size = usize::try_from(info.record_size).ok()?;
        let word = |record: &[u8], at: usize| {
            let bytes = record.get(at..at.checked_add(4)?)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let is_before = |record: &&[u8]| {
            word(record, 0)
                .and_then(|at| usize::try_from(at).ok())
                .is_some_and(|at| at <= insn)
        };
        let record = info
            .records
            .chunks_exact(size.max(1))
            .take_while(is_before)
            .last()?;
        let place = word(record, 12)?;
        let (file, text) = (word(record, 4)?, word(record, 8)?);
        Some(SourceLine::new(btf, file, text, place >> 10, place & 0x3ff))
    }
}
