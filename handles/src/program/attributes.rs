//! What a program is loaded with.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use purebpf_insn::{AttachType, Insn, ProgramFlags, ProgramType};
use purebpf_syscall::{ProgLoad, Records, prog_load};

use super::Program;
use crate::btf::with_log;
use crate::error::shown;
use crate::{BtfObject, Error, Map, Token};

/// What [`Program::load`] makes a program of; zero, empty and `None` are the kernel's defaults.
#[doc(alias = "bpf_prog_load_opts")]
#[derive(Clone, Debug, Default)]
pub struct ProgramAttributes {
    /// Name of the handle. The kernel is told the first 15 bytes (4.15).
    pub name: String,
    /// Type.
    pub program_type: ProgramType,
    /// How it will be attached; required for some types (4.17).
    pub expected_attach_type: AttachType,
    /// License: `GPL` and the like allow more helpers.
    pub license: String,
    /// Instructions, with fds of maps in them.
    pub instructions: Vec<Insn>,
    /// Flags.
    pub flags: ProgramFlags,
    /// Kernel version, for kprobes before 5.0.
    pub kernel_version: u32,
    /// Network device to offload to, by index.
    pub ifindex: u32,
    /// BTF of the program (5.0).
    pub btf: Option<BtfObject>,
    /// Functions (5.0).
    pub func_info: ExtensionInfo,
    /// Source lines (5.0).
    pub line_info: ExtensionInfo,
    /// Type id of the function, typedef or struct to attach to (5.5).
    pub attach_btf_id: u32,
    /// What the previous id is from, if not the kernel's own BTF.
    pub attach_to: Option<AttachTo>,
    /// What instructions with an index refer to; `None` is the kernel's own BTF (5.14).
    pub references: Vec<Option<Reference>>,
    /// Token that allows the call (6.9).
    pub token: Option<Token>,
    /// Signature of the instructions, PKCS#7 (6.18); empty for none.
    pub signature: Vec<u8>,
    /// The keyring that the signature's key is in: 0 that of the system, 1 the secondary, 2 the
    /// platform's, or the number of one.
    pub keyring_id: i32,
}

/// Records of one kind of `.BTF.ext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionInfo {
    /// The records, one after the other, with instruction offsets in instructions.
    pub records: Vec<u8>,
    /// Bytes of one record.
    pub record_size: u32,
}

/// Where the attach target of a program is.
#[derive(Clone, Debug)]
pub enum AttachTo {
    /// A function of another program (5.6).
    Program(Program),
    /// A function of a kernel module (5.11).
    Module(BtfObject),
}

/// What an instruction refers to by index.
#[derive(Clone, Debug)]
pub enum Reference {
    /// A map.
    Map(Map),
    /// BTF of a kernel module, for functions in it.
    Module(BtfObject),
}

impl ExtensionInfo {
    fn records(&self) -> Records<'_> {
        Records {
            bytes: &self.records,
            record_size: self.record_size,
        }
    }
}

impl AsFd for AttachTo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Program(program) => program.as_fd(),
            Self::Module(btf) => btf.as_fd(),
        }
    }
}

impl AsFd for Reference {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Map(map) => map.as_fd(),
            Self::Module(btf) => btf.as_fd(),
        }
    }
}

impl Program {
    /// Loads a program (`BPF_PROG_LOAD`).
    ///
    /// # Errors
    /// [`Error::Rejected`] with the verifier's log, or what else the kernel says.
    #[doc(alias = "bpf_prog_load")]
    pub fn load(attributes: &ProgramAttributes) -> Result<Self, Error> {
        Self::load_with_log(attributes, 0).map(|(program, _)| program)
    }

    /// Loads a program, and returns what the verifier said of it: with level 1 or 2 more and more,
    /// with 4 statistics, with 0 nothing unless it refuses the program.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with_log(
        attributes: &ProgramAttributes,
        level: u32,
    ) -> Result<(Self, String), Error> {
        let name = &*attributes.name;
        let object = shown(|f| write!(f, "program `{name}`"));
        let license = CString::new(&*attributes.license)
            .map_err(|_| Error::invalid(object, "its license has a zero byte inside"))?;
        let references: Vec<_> = attributes
            .references
            .iter()
            .map(|it| it.as_ref().map(AsFd::as_fd))
            .collect();
        let params = ProgLoad {
            program_type: attributes.program_type,
            expected_attach_type: attributes.expected_attach_type,
            name,
            license: &license,
            instructions: &attributes.instructions,
            flags: attributes.flags,
            kernel_version: attributes.kernel_version,
            ifindex: attributes.ifindex,
            btf: attributes.btf.as_ref().map(AsFd::as_fd),
            func_info: attributes.func_info.records(),
            line_info: attributes.line_info.records(),
            attach_btf_id: attributes.attach_btf_id,
            attach_to: attributes.attach_to.as_ref().map(AsFd::as_fd),
            fd_array: &references,
            fd_array_bound: false,
            token: attributes.token.as_ref().map(AsFd::as_fd),
            signature: &attributes.signature,
            keyring_id: attributes.keyring_id,
        };
        let (fd, log) = with_log(&object, "load it", level, |log| prog_load(&params, log))?;
        let program = Self::loaded(
            fd,
            name,
            attributes.program_type,
            attributes.expected_attach_type,
        );
        let program = program.map_err(Error::call(object, "ask what it is"))?;
        Ok((program, log))
    }
}
