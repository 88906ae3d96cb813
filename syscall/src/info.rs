//! What the kernel tells of an open object (`BPF_OBJ_GET_INFO_BY_FD`).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use bytemuck::Pod;
use nix::errno::Errno;
use purebpf_insn::{Insn, MapFlags, MapType, ProgramType};

use crate::call::{Command, address_mut, bpf, stored_name};
use crate::shared::shared;
use crate::{CallError, ObjectKind, attr};

shared! {
    /// What the kernel tells of a map.
    RawMap = "bpf_map_info", 104 {
        0 r#type: u32,
        4 id: u32,
        8 key_size: u32,
        12 value_size: u32,
        16 max_entries: u32,
        20 map_flags: u32,
        24 name: [u8; 16],
        40 ifindex: u32,
        44 btf_vmlinux_value_type_id: u32,
        48 netns_dev: u64,
        56 netns_ino: u64,
        64 btf_id: u32,
        68 btf_key_type_id: u32,
        72 btf_value_type_id: u32,
        76 btf_vmlinux_id: u32,
        80 map_extra: u64,
        88 hash: u64,
        96 hash_size: u32,
        100 pad: u32,
    }

    /// What the kernel tells of a program.
    RawProg = "bpf_prog_info", 232 {
        0 r#type: u32,
        4 id: u32,
        8 tag: [u8; 8],
        16 jited_prog_len: u32,
        20 xlated_prog_len: u32,
        24 jited_prog_insns: u64,
        32 xlated_prog_insns: u64,
        40 load_time: u64,
        48 created_by_uid: u32,
        52 nr_map_ids: u32,
        56 map_ids: u64,
        64 name: [u8; 16],
        80 ifindex: u32,
        84 gpl_compatible: u32,
        88 netns_dev: u64,
        96 netns_ino: u64,
        104 nr_jited_ksyms: u32,
        108 nr_jited_func_lens: u32,
        112 jited_ksyms: u64,
        120 jited_func_lens: u64,
        128 btf_id: u32,
        132 func_info_rec_size: u32,
        136 func_info: u64,
        144 nr_func_info: u32,
        148 nr_line_info: u32,
        152 line_info: u64,
        160 jited_line_info: u64,
        168 nr_jited_line_info: u32,
        172 line_info_rec_size: u32,
        176 jited_line_info_rec_size: u32,
        180 nr_prog_tags: u32,
        184 prog_tags: u64,
        192 run_time_ns: u64,
        200 run_cnt: u64,
        208 recursion_misses: u64,
        216 verified_insns: u32,
        220 attach_btf_obj_id: u32,
        224 attach_btf_id: u32,
        228 pad: u32,
    }

    /// What the kernel tells of BTF.
    RawBtf = "bpf_btf_info", 32 {
        0 btf: u64,
        8 btf_size: u32,
        12 id: u32,
        16 name: u64,
        24 name_len: u32,
        28 kernel_btf: u32,
    }
}

/// A map, as the kernel sees it (`struct bpf_map_info`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MapInfo {
    /// Type.
    pub map_type: MapType,
    /// Id.
    pub id: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value, for one CPU.
    pub value_size: u32,
    /// Most elements; bytes of data for a ring buffer.
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
    /// Name, at most 15 bytes.
    pub name: String,
    /// Network device that it is offloaded to, by index; 0 for none.
    pub ifindex: u32,
    /// Device and inode of that device's network name space (4.16).
    pub netns: (u64, u64),
    /// Id of its BTF, 0 for none.
    pub btf_id: u32,
    /// Type id of the key in that BTF.
    pub btf_key_type_id: u32,
    /// Type id of the value in that BTF.
    pub btf_value_type_id: u32,
    /// Type id of the value in the kernel's BTF, for struct_ops.
    pub btf_vmlinux_value_type_id: u32,
    /// Id of the BTF that the previous id is from, if not the kernel's own (6.9).
    pub btf_vmlinux_id: u32,
    /// Meaning depends on the type (5.16).
    pub map_extra: u64,
}

/// A program, as the kernel sees it (`struct bpf_prog_info`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgInfo {
    /// Type.
    pub program_type: ProgramType,
    /// Id.
    pub id: u32,
    /// Hash of the instructions.
    pub tag: [u8; 8],
    /// Name, at most 15 bytes.
    pub name: String,
    /// Maps that it uses; [`prog_map_ids`] tells which.
    pub map_count: u32,
    /// When it was loaded, since the machine was started.
    pub load_time: Duration,
    /// User who loaded it.
    pub created_by_uid: u32,
    /// Its license allows helpers that are GPL only.
    pub gpl_compatible: bool,
    /// Network device that it is bound to, by index; 0 for none.
    pub ifindex: u32,
    /// Device and inode of that device's network name space (4.16).
    pub netns: (u64, u64),
    /// Id of its BTF, 0 for none.
    pub btf_id: u32,
    /// Bytes of machine code; 0 without a JIT, or without the right to see it.
    pub jited_len: u32,
    /// Bytes of instructions after the verifier changed them.
    pub translated_len: u32,
    /// Time spent in it, all CPUs together, while statistics were on (5.1).
    pub run_time: Duration,
    /// Runs, while statistics were on (5.1).
    pub run_count: u64,
    /// Runs left out because it was running already (5.12).
    pub recursion_misses: u64,
    /// Instructions that the verifier walked through (5.16).
    pub verified_instructions: u32,
    /// Id of the BTF with its attach target (5.18).
    pub attach_btf_obj_id: u32,
    /// Type id of its attach target (5.18).
    pub attach_btf_id: u32,
}

/// BTF, as the kernel sees it (`struct bpf_btf_info`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BtfInfo {
    /// Id.
    pub id: u32,
    /// Bytes of the data.
    pub size: u32,
    /// `vmlinux`, the name of a module, or empty (5.11).
    pub name: String,
    /// It belongs to the kernel or a module (5.11).
    pub is_kernel: bool,
}

/// What answers questions about an open object: the kernel, for an fd, or what a fuzzer puts in its place.
pub(crate) trait Answers {
    /// Asks for the information block of the object.
    ///
    /// # Safety
    /// Every address in `info` is zero; or the object is known to be of the kind that `info` is the
    /// block of, and each address is valid for writing as many items as the count next to it says.
    unsafe fn fill<I: Pod>(&mut self, info: &mut I) -> Result<(), CallError>;
}

impl Answers for BorrowedFd<'_> {
    unsafe fn fill<I: Pod>(&mut self, info: &mut I) -> Result<(), CallError> {
        let mut attr = attr::ObjInfo {
            bpf_fd: self.as_raw_fd(),
            info_len: size_of::<I>() as u32,
            info: address_mut(std::slice::from_mut(info)),
        };
        // SAFETY: `info` is as long as said, its addresses are good by this function's contract.
        unsafe { bpf(Command::OBJ_GET_INFO_BY_FD, &mut attr) }.map(drop)
    }
}

/// More bytes than any object has: the machine code of a million instructions, of 128 bytes each at most.
const MOST: usize = 128 << 20;

/// Room for as many items as an object is said to have; an error if that cannot be.
pub(crate) fn room<T: Pod>(count: u32) -> Result<Vec<T>, CallError> {
    let count = count as usize;
    let bytes = count.checked_mul(size_of::<T>());
    match bytes.is_some_and(|bytes| bytes <= MOST) {
        true => Ok(vec![T::zeroed(); count]),
        false => Err(CallError::new(
            Command::OBJ_GET_INFO_BY_FD.name,
            Errno::E2BIG,
        )),
    }
}

/// Asks about a map (4.13).
///
/// # Errors
/// What the kernel says.
pub fn map_info(mut fd: BorrowedFd<'_>) -> Result<MapInfo, CallError> {
    map(&mut fd)
}

pub(crate) fn map(answers: &mut impl Answers) -> Result<MapInfo, CallError> {
    let mut raw = RawMap::default();
    // SAFETY: all zero.
    unsafe { answers.fill(&mut raw) }?;
    Ok(MapInfo {
        map_type: MapType(raw.r#type),
        id: raw.id,
        key_size: raw.key_size,
        value_size: raw.value_size,
        max_entries: raw.max_entries,
        flags: MapFlags::from_bits_retain(raw.map_flags),
        name: stored_name(&raw.name),
        ifindex: raw.ifindex,
        netns: (raw.netns_dev, raw.netns_ino),
        btf_id: raw.btf_id,
        btf_key_type_id: raw.btf_key_type_id,
        btf_value_type_id: raw.btf_value_type_id,
        btf_vmlinux_value_type_id: raw.btf_vmlinux_value_type_id,
        btf_vmlinux_id: raw.btf_vmlinux_id,
        map_extra: raw.map_extra,
    })
}

/// Asks about a program (4.13).
///
/// # Errors
/// What the kernel says.
pub fn prog_info(mut fd: BorrowedFd<'_>) -> Result<ProgInfo, CallError> {
    program(&mut fd)
}

pub(crate) fn program(answers: &mut impl Answers) -> Result<ProgInfo, CallError> {
    let mut raw = RawProg::default();
    // SAFETY: all zero.
    unsafe { answers.fill(&mut raw) }?;
    Ok(ProgInfo {
        program_type: ProgramType(raw.r#type),
        id: raw.id,
        tag: raw.tag,
        name: stored_name(&raw.name),
        map_count: raw.nr_map_ids,
        load_time: Duration::from_nanos(raw.load_time),
        created_by_uid: raw.created_by_uid,
        // A bit-field of one bit: the first, whichever end that is.
        gpl_compatible: raw.gpl_compatible != 0,
        ifindex: raw.ifindex,
        netns: (raw.netns_dev, raw.netns_ino),
        btf_id: raw.btf_id,
        jited_len: raw.jited_prog_len,
        translated_len: raw.xlated_prog_len,
        run_time: Duration::from_nanos(raw.run_time_ns),
        run_count: raw.run_cnt,
        recursion_misses: raw.recursion_misses,
        verified_instructions: raw.verified_insns,
        attach_btf_obj_id: raw.attach_btf_obj_id,
        attach_btf_id: raw.attach_btf_id,
    })
}

/// Ids of the maps that a program uses.
///
/// # Errors
/// `EINVAL` for an fd that is no program, and what the kernel says.
pub fn prog_map_ids(mut fd: BorrowedFd<'_>) -> Result<Vec<u32>, CallError> {
    check_kind(fd, ObjectKind::Program)?;
    map_ids(&mut fd)
}

pub(crate) fn map_ids(answers: &mut impl Answers) -> Result<Vec<u32>, CallError> {
    let count = program(answers)?.map_count;
    let mut ids = room::<u32>(count)?;
    let mut raw = RawProg {
        nr_map_ids: count,
        map_ids: address_mut(&mut ids),
        ..Default::default()
    };
    // SAFETY: a program, and `ids` has room for `count`.
    unsafe { answers.fill(&mut raw) }?;
    // Maps can be bound to a program between the two calls, but never taken away.
    Ok(ids)
}

/// The instructions of a program after the verifier changed them; empty without the right to see.
///
/// # Errors
/// `EINVAL` for an fd that is no program, and what the kernel says.
pub fn prog_instructions(mut fd: BorrowedFd<'_>) -> Result<Vec<Insn>, CallError> {
    check_kind(fd, ObjectKind::Program)?;
    instructions(&mut fd)
}

pub(crate) fn instructions(answers: &mut impl Answers) -> Result<Vec<Insn>, CallError> {
    let bytes = program(answers)?.translated_len;
    let mut instructions = room::<Insn>(bytes / Insn::SIZE as u32)?;
    let mut raw = RawProg {
        xlated_prog_len: size_of_val(&*instructions) as u32,
        xlated_prog_insns: address_mut(&mut instructions),
        ..Default::default()
    };
    // SAFETY: a program, and `instructions` has the length said.
    unsafe { answers.fill(&mut raw) }?;
    if raw.xlated_prog_insns == 0 {
        instructions.clear();
    }
    Ok(instructions)
}

/// The machine code of a program; empty without a JIT or the right to see.
///
/// # Errors
/// `EINVAL` for an fd that is no program, and what the kernel says.
pub fn prog_jited(mut fd: BorrowedFd<'_>) -> Result<Vec<u8>, CallError> {
    check_kind(fd, ObjectKind::Program)?;
    jited(&mut fd)
}

pub(crate) fn jited(answers: &mut impl Answers) -> Result<Vec<u8>, CallError> {
    let mut code = room::<u8>(program(answers)?.jited_len)?;
    let mut raw = RawProg {
        jited_prog_len: code.len() as u32,
        jited_prog_insns: address_mut(&mut code),
        ..Default::default()
    };
    // SAFETY: a program, and `code` has the length said.
    unsafe { answers.fill(&mut raw) }?;
    if raw.jited_prog_insns == 0 {
        code.clear();
    }
    Ok(code)
}

/// Where the machine code of each function of a program is: address and bytes (4.17). Empty as for
/// [`prog_jited`].
///
/// # Errors
/// `EINVAL` for an fd that is no program, and what the kernel says.
pub fn prog_jited_functions(mut fd: BorrowedFd<'_>) -> Result<Vec<(u64, u32)>, CallError> {
    check_kind(fd, ObjectKind::Program)?;
    jited_functions(&mut fd)
}

pub(crate) fn jited_functions(answers: &mut impl Answers) -> Result<Vec<(u64, u32)>, CallError> {
    let mut raw = RawProg::default();
    // SAFETY: all zero.
    unsafe { answers.fill(&mut raw) }?;
    let count = raw.nr_jited_ksyms.min(raw.nr_jited_func_lens);
    let (mut addresses, mut sizes) = (room::<u64>(count)?, room::<u32>(count)?);
    let mut raw = RawProg {
        nr_jited_ksyms: count,
        jited_ksyms: address_mut(&mut addresses),
        nr_jited_func_lens: count,
        jited_func_lens: address_mut(&mut sizes),
        ..Default::default()
    };
    // SAFETY: a program, and both have room for `count`.
    unsafe { answers.fill(&mut raw) }?;
    if raw.jited_ksyms == 0 || raw.jited_func_lens == 0 {
        return Ok(Vec::new());
    }
    Ok(addresses.into_iter().zip(sizes).collect())
}

/// The line info of a program (`struct bpf_line_info`, 5.0): instruction, offsets of file name and
/// text in its BTF, line and column in one number. Empty without the right to see.
///
/// # Errors
/// `EINVAL` for an fd that is no program, and what the kernel says.
pub fn prog_line_info(mut fd: BorrowedFd<'_>) -> Result<Vec<[u32; 4]>, CallError> {
    check_kind(fd, ObjectKind::Program)?;
    line_info(&mut fd)
}

pub(crate) fn line_info(answers: &mut impl Answers) -> Result<Vec<[u32; 4]>, CallError> {
    let mut raw = RawProg::default();
    // SAFETY: all zero.
    unsafe { answers.fill(&mut raw) }?;
    let count = raw.nr_line_info;
    let mut lines = room::<[u32; 4]>(count)?;
    if count == 0 {
        return Ok(lines);
    }
    let mut raw = RawProg {
        nr_line_info: count,
        line_info: address_mut(&mut lines),
        line_info_rec_size: size_of::<[u32; 4]>() as u32,
        ..Default::default()
    };
    // SAFETY: a program, and `lines` has room for `count` records of this size.
    unsafe { answers.fill(&mut raw) }?;
    if raw.line_info == 0 {
        lines.clear();
    }
    Ok(lines)
}

/// Asks about BTF (4.18).
///
/// # Errors
/// `EINVAL` for an fd that is no BTF, and what the kernel says.
pub fn btf_info(mut fd: BorrowedFd<'_>) -> Result<BtfInfo, CallError> {
    check_kind(fd, ObjectKind::Btf)?;
    btf(&mut fd)
}

pub(crate) fn btf(answers: &mut impl Answers) -> Result<BtfInfo, CallError> {
    // Longer than any module's name (MODULE_NAME_LEN is 56).
    let mut name = [0_u8; 64];
    let mut raw = RawBtf {
        name: address_mut(&mut name),
        name_len: name.len() as u32,
        ..Default::default()
    };
    // SAFETY: BTF, and `name` has the length said.
    match unsafe { answers.fill(&mut raw) } {
        // Before 5.11 the block ended before the name, and what is behind has to be zero.
        Err(error) if error.errno() == Errno::E2BIG => {
            raw = RawBtf::default();
            // SAFETY: all zero.
            unsafe { answers.fill(&mut raw) }?;
        }
        result => result?,
    }
    Ok(BtfInfo {
        id: raw.id,
        size: raw.btf_size,
        name: stored_name(&name),
        is_kernel: raw.kernel_btf != 0,
    })
}

/// The data of BTF (4.18).
///
/// # Errors
/// `EINVAL` for an fd that is no BTF, and what the kernel says.
pub fn btf_data(mut fd: BorrowedFd<'_>) -> Result<Vec<u8>, CallError> {
    check_kind(fd, ObjectKind::Btf)?;
    data(&mut fd)
}

pub(crate) fn data(answers: &mut impl Answers) -> Result<Vec<u8>, CallError> {
    let mut raw = RawBtf::default();
    // SAFETY: all zero.
    unsafe { answers.fill(&mut raw) }?;
    let mut data = room::<u8>(raw.btf_size)?;
    let mut raw = RawBtf {
        btf: address_mut(&mut data),
        btf_size: raw.btf_size,
        ..Default::default()
    };
    // SAFETY: BTF, and `data` has the length said.
    unsafe { answers.fill(&mut raw) }?;
    Ok(data)
}

/// What kind of BPF object an fd is, as `/proc` names it; `None` for anything else.
///
/// # Errors
/// `/proc` is not there.
pub fn kind_of(fd: BorrowedFd<'_>) -> Result<Option<ObjectKind>, CallError> {
    let path = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    let name = std::fs::read_link(path).map_err(|error| CallError::io("readlink", &error))?;
    Ok(name
        .to_str()
        .and_then(|name| name.strip_prefix("anon_inode:"))
        .and_then(|name| {
            KINDS
                .iter()
                .find(|(text, _)| *text == name)
                .map(|(_, kind)| *kind)
        }))
}

const KINDS: [(&str, ObjectKind); 7] = [
    ("bpf-map", ObjectKind::Map),
    ("bpf-prog", ObjectKind::Program),
    ("bpf_link", ObjectKind::Link),
    ("bpf-link", ObjectKind::Link),
    ("[bpf_link]", ObjectKind::Link),
    ("bpf-raw-tracepoint", ObjectKind::Link),
    ("btf", ObjectKind::Btf),
];

pub(crate) fn check_kind(fd: BorrowedFd<'_>, expected: ObjectKind) -> Result<(), CallError> {
    if kind_of(fd)? == Some(expected) {
        Ok(())
    } else {
        Err(CallError::new(
            Command::OBJ_GET_INFO_BY_FD.name,
            Errno::EINVAL,
        ))
    }
}
