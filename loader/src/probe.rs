//! Asks the running kernel what it offers, by trying: one row of a table for each feature.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use purebpf_insn::{AttachType, Insn, MapFlags, MapType, ProgramFlags, ProgramType, build, opcode};
use purebpf_plan::Feature;
use purebpf_syscall::perf::{PerfEventOpen, PerfKind, Sampling, Wakeup, perf_event_open};
use purebpf_syscall::{
    AttachPoint, CallError, Errno, LinkCreate, LinkOptions, Log, MapCreate, MapFd, ProgLoad,
    btf_info, btf_load, link_create, probe, prog_bind_map, prog_load,
};

/// What the calls of a probe are allowed by, if not by this process's own rights.
type Token<'a> = Option<BorrowedFd<'a>>;

/// Whether the kernel has it, or the error that it answered with.
type Answer = Result<bool, Errno>;

type Probe = fn(Token<'_>) -> Answer;

/// How each feature is found out. Those that are missing here are not probed but follow from others.
const PROBES: &[(Feature, Probe)] = &[
    (Feature::ProgramName, program_name),
    (Feature::GlobalData, global_data),
    (Feature::Btf, |token| loads_btf(token, &[INT])),
    (Feature::BtfFunc, |token| {
        loads_btf(token, &[INT, PROTO, &func(0)])
    }),
    (Feature::BtfGlobalFunc, |token| {
        loads_btf(token, &[INT, PROTO, &func(1)])
    }),
    (Feature::BtfDatasec, |token| {
        loads_btf(token, &[INT, VAR, &datasec(DATA)])
    }),
    (Feature::ArrayMmap, array_mmap),
    (Feature::ExpectedAttachType, expected_attach_type),
    (Feature::ProbeReadKernel, probe_read_kernel),
    (Feature::ProgramBindMap, bind_map),
    (Feature::ModuleBtf, module_btf),
    (Feature::BtfFloat, |token| {
        loads_btf(token, &[&[1, kind(16, 0), 4]])
    }),
    (Feature::PerfLink, perf_link),
    (Feature::BtfDeclTag, |token| {
        loads_btf(token, &[INT, VAR, &[1, kind(17, 0), 2, u32::MAX]])
    }),
    (Feature::BtfTypeTag, |token| {
        loads_btf(token, &[INT, &[1, kind(18, 0), 1], &[0, kind(2, 0), 2]])
    }),
    (Feature::MemcgAccount, |token| {
        calls(token, ProgramType::SOCKET_FILTER, KTIME_GET_COARSE_NS)
    }),
    (Feature::BpfCookie, |token| {
        calls(token, ProgramType::TRACEPOINT, GET_ATTACH_COOKIE)
    }),
    (Feature::BtfEnum64, |token| {
        loads_btf(token, &[&[1, kind(19, 0), 8]])
    }),
    (Feature::SyscallWrapper, |_| Ok(syscall_wrapper())),
    (Feature::UprobeMultiLink, uprobe_multi_link),
    (Feature::ArgCtxTag, arg_ctx_tag),
    (Feature::BtfQmarkDatasec, |token| {
        loads_btf(token, &[INT, VAR, &datasec(QMARK_DATA)])
    }),
    (Feature::LdImm64FullRangeOffset, full_range_offset),
    (Feature::UprobeSyscall, |_| Ok(probe::has_uprobe_syscall())),
    (Feature::BtfLayout, btf_layout),
    (Feature::CommonAttributes, |_| {
        Ok(probe::has_common_attributes())
    }),
];

/// Errors that say nothing about the kernel, only about this process now.
pub(crate) const UNTOLD: &[Errno] = &[
    Errno::EAGAIN,
    Errno::EINTR,
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::ENOMEM,
    Errno::ENOSPC,
    Errno::EPERM,
];

/// Whether the running kernel has a feature; nothing if it could not be asked. Each call asks anew.
pub(crate) fn has(feature: Feature, token: Token<'_>) -> Option<bool> {
    let (_, probe) = PROBES.iter().find(|(known, _)| *known == feature)?;
    match probe(token) {
        Ok(answer) => Some(answer),
        Err(error) if UNTOLD.contains(&error) => None,
        Err(_) => Some(false),
    }
}

const KPROBE_UNIT: &str = "/sys/bus/event_source/devices/kprobe/type";

const PROBE_READ_KERNEL: i32 = 113;
const KTIME_GET_COARSE_NS: i32 = 160;
const GET_FUNC_IP: i32 = 173;
const GET_ATTACH_COOKIE: i32 = 174;

// BTF by hand: types are words, names are offsets in STRINGS.
const STRINGS: &[u8] = b"\0x\0.data\0?.data\0arg:ctx\0main_prog\0sub_prog\0ctx\0";
const DATA: u32 = 3;
const QMARK_DATA: u32 = 9;
const ARG_CTX: u32 = 16;
const MAIN_PROG: u32 = 24;
const SUB_PROG: u32 = 34;
const CTX: u32 = 43;

const fn kind(kind: u32, vlen: u32) -> u32 {
    kind << 24 | vlen
}

/// `int x`, 4 bytes, signed.
const INT: &[u32] = &[1, kind(1, 0), 4, 1 << 24 | 32];
/// A function type with one parameter, behind [`INT`].
const PROTO: &[u32] = &[0, kind(13, 1), 0, 1, 1];
/// A variable, behind [`INT`].
const VAR: &[u32] = &[1, kind(14, 0), 1, 0];

const fn func(linkage: u32) -> [u32; 3] {
    [1, kind(12, linkage), 2]
}

const fn datasec(name: u32) -> [u32; 6] {
    [name, kind(15, 1), 4, 2, 0, 4]
}

fn btf_bytes(types: &[&[u32]]) -> Vec<u8> {
    let words: usize = types.iter().map(|words| words.len()).sum();
    let type_len = u32::try_from(words.saturating_mul(4)).unwrap_or(0);
    let string_len = u32::try_from(STRINGS.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&0xeb9f_u16.to_ne_bytes());
    bytes.extend_from_slice(&[1, 0]);
    let header: &[u32] = &[24, 0, type_len, type_len, string_len];
    for word in std::iter::once(&header).chain(types).copied().flatten() {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(STRINGS);
    bytes
}

/// Whether the kernel refuses even an empty program of this type, without a word.
pub(crate) fn refuses_type(
    token: Token<'_>,
    program_type: ProgramType,
    attach_type: AttachType,
    flags: ProgramFlags,
) -> bool {
    let mut buffer = [0; 512];
    let mut log = Log::new(1, &mut buffer);
    let params = ProgLoad {
        expected_attach_type: attach_type,
        flags,
        ..program(token, program_type, &RETURN_0)
    };
    let refused = prog_load(&params, Some(&mut log)).is_err_and(|e| e.errno() == Errno::EINVAL);
    refused && log.text().is_empty()
}

/// What a call that succeeds, or fails, says.
fn succeeds<T>(result: Result<T, CallError>) -> Answer {
    result.map(|_| true).map_err(|error| error.errno())
}

/// What a call that cannot succeed says by the error that it fails with.
fn fails_with<T>(result: Result<T, CallError>, expected: Errno) -> Answer {
    match result.map_err(|error| error.errno()) {
        Ok(_) => Ok(false),
        Err(error) if error == expected => Ok(true),
        Err(error) => Err(error),
    }
}

fn btf(token: Token<'_>, types: &[&[u32]]) -> Result<OwnedFd, Errno> {
    btf_load(&btf_bytes(types), None, token).map_err(|error| error.errno())
}

fn loads_btf(token: Token<'_>, types: &[&[u32]]) -> Answer {
    btf(token, types).map(|_| true)
}

/// BTF whose header tells of a section with the layout of two kinds.
fn btf_layout(token: Token<'_>) -> Answer {
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    // Types, then the layout of void and of INT (4 more bytes), then strings.
    for word in [32u32, 0, 16, 24, 3, 16, 8] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(INT.iter().flat_map(|word| word.to_ne_bytes()));
    bytes.extend([0, 0, 0, 0, 4, 0, 0, 0]);
    bytes.extend(b"\0x\0");
    succeeds(btf_load(&bytes, None, token))
}

const RETURN_0: [Insn; 2] = [build::mov64_imm(0, 0), build::exit()];

fn program<'a>(
    token: Token<'a>,
    program_type: ProgramType,
    instructions: &'a [Insn],
) -> ProgLoad<'a> {
    ProgLoad {
        token,
        program_type,
        instructions,
        license: c"GPL",
        ..ProgLoad::default()
    }
}

fn loads(params: &ProgLoad<'_>) -> Answer {
    loaded(params).map(|_| true)
}

fn loaded(params: &ProgLoad<'_>) -> Result<OwnedFd, Errno> {
    prog_load(params, None).map_err(|error| error.errno())
}

/// Whether programs of a type may call a helper that takes nothing, or only the context.
fn calls(token: Token<'_>, program_type: ProgramType, helper: i32) -> Answer {
    loads(&program(
        token,
        program_type,
        &[build::call(helper), build::exit()],
    ))
}

fn program_name(token: Token<'_>) -> Answer {
    let params = program(token, ProgramType::SOCKET_FILTER, &RETURN_0);
    loads(&ProgLoad {
        name: "purebpf_name",
        ..params
    })
}

fn array(token: Token<'_>, value_size: u32, flags: MapFlags) -> Result<MapFd, Errno> {
    let params = MapCreate {
        map_type: MapType::ARRAY,
        key_size: 4,
        value_size,
        max_entries: 1,
        flags,
        token,
        ..MapCreate::default()
    };
    MapFd::create(&params, None).map_err(|error| error.errno())
}

fn map_value(map: &MapFd, dst: u8, offset: u32) -> [Insn; 2] {
    use std::os::fd::AsRawFd as _;
    let fd = u64::from(map.as_fd().as_raw_fd().cast_unsigned());
    build::ld_imm64(dst, opcode::PSEUDO_MAP_VALUE, u64::from(offset) << 32 | fd)
}

fn global_data(token: Token<'_>) -> Answer {
    let map = array(token, 32, MapFlags::empty())?;
    let [low, high] = map_value(&map, 1, 16);
    let store = build::store_imm(opcode::DW, 1, 0, 42);
    let [zero, exit] = RETURN_0;
    loads(&program(
        token,
        ProgramType::SOCKET_FILTER,
        &[low, high, store, zero, exit],
    ))
}

fn array_mmap(token: Token<'_>) -> Answer {
    array(token, 4, MapFlags::MMAPABLE).map(|_| true)
}

fn expected_attach_type(token: Token<'_>) -> Answer {
    let params = program(token, ProgramType::CGROUP_SOCK, &RETURN_0);
    loads(&ProgLoad {
        expected_attach_type: AttachType::CGROUP_INET_SOCK_CREATE,
        ..params
    })
}

fn probe_read_kernel(token: Token<'_>) -> Answer {
    let insns = [
        build::mov64_reg(1, 10),
        build::add64_imm(1, -8),
        build::mov64_imm(2, 8),
        build::mov64_imm(3, 0),
        build::call(PROBE_READ_KERNEL),
        build::exit(),
    ];
    loads(&program(token, ProgramType::TRACEPOINT, &insns))
}

fn bind_map(token: Token<'_>) -> Answer {
    let map = array(token, 32, MapFlags::empty())?;
    let params = program(token, ProgramType::SOCKET_FILTER, &RETURN_0);
    let program = loaded(&params)?;
    succeeds(prog_bind_map(program.as_fd(), map.as_fd()))
}

/// Kernels with BTF of modules tell the name of BTF; the call below asks for it.
fn module_btf(token: Token<'_>) -> Answer {
    let fd = btf(token, &[INT])?;
    succeeds(btf_info(fd.as_fd()))
}

fn perf_link(token: Token<'_>) -> Answer {
    let params = program(token, ProgramType::TRACEPOINT, &RETURN_0);
    let program = loaded(&params)?;
    let link = link_create(&LinkCreate {
        program: program.as_fd(),
        target: AttachPoint::Ifindex(u32::MAX),
        attach_type: AttachType::PERF_EVENT,
        flags: 0,
        options: LinkOptions::PerfEvent { cookie: 0 },
    });
    // Fd -1 is no perf event, which is for a kernel to say that looks at it.
    fails_with(link, Errno::EBADF)
}

fn syscall_wrapper() -> bool {
    let symbol = if cfg!(target_arch = "x86_64") {
        "__x64_sys_bpf"
    } else if cfg!(target_arch = "aarch64") {
        "__arm64_sys_bpf"
    } else if cfg!(target_arch = "s390x") {
        "__s390x_sys_bpf"
    } else if cfg!(target_arch = "riscv64") {
        "__riscv_sys_bpf"
    } else {
        return false;
    };
    let unit = std::fs::read_to_string(KPROBE_UNIT).ok();
    let Some(unit) = unit.and_then(|unit| unit.trim().parse().ok()) else {
        return false;
    };
    let Ok(symbol) = CString::new(symbol) else {
        return false;
    };
    let event = perf_event_open(&PerfEventOpen {
        kind: PerfKind::Probe {
            unit,
            config: 0,
            name: Some(&symbol),
            offset: 0,
        },
        sampling: Sampling::None,
        sample_type: 0,
        wakeup: Wakeup::Half,
        pid: Some(0),
        cpu: None,
    });
    event.is_ok()
}

fn uprobe_multi_link(token: Token<'_>) -> Answer {
    let params = program(token, ProgramType::KPROBE, &RETURN_0);
    let params = ProgLoad {
        expected_attach_type: AttachType::TRACE_UPROBE_MULTI,
        ..params
    };
    let program = loaded(&params)?;
    let attempt = |pid| {
        link_create(&LinkCreate {
            program: program.as_fd(),
            target: AttachPoint::None,
            attach_type: AttachType::TRACE_UPROBE_MULTI,
            flags: 0,
            options: LinkOptions::UprobeMulti {
                path: c"/",
                offsets: &[0],
                ref_ctr_offsets: &[],
                cookies: &[],
                pid,
                flags: 0,
            },
        })
    };
    // The root is no file with functions; and kernels that check the pid know -1 for none.
    Ok(fails_with(attempt(0), Errno::EBADF)? && fails_with(attempt(u32::MAX), Errno::EINVAL)?)
}

fn arg_ctx_tag(token: Token<'_>) -> Answer {
    // main_prog calls sub_prog, whose parameter is tagged as the context.
    let types: &[&[u32]] = &[
        INT,
        &[0, kind(2, 0), 0],
        &[0, kind(13, 1), 1, CTX, 1],
        &[MAIN_PROG, kind(12, 1), 3],
        &[0, kind(13, 1), 1, CTX, 2],
        &[SUB_PROG, kind(12, 1), 5],
        &[ARG_CTX, kind(17, 0), 6, 0],
    ];
    let btf = btf(token, types)?;
    let insns = [
        build::call_rel(1),
        build::exit(),
        build::call(GET_FUNC_IP),
        build::exit(),
    ];
    let func_info: Vec<u8> = [0u32, 4, 2, 6]
        .iter()
        .flat_map(|w| w.to_ne_bytes())
        .collect();
    let params = program(token, ProgramType::KPROBE, &insns);
    loads(&ProgLoad {
        name: "det_arg_ctx",
        btf: Some(btf.as_fd()),
        func_info: purebpf_syscall::Records {
            bytes: &func_info,
            record_size: 8,
        },
        ..params
    })
}

/// An offset past the value is refused in either case; what counts is for which reason.
fn full_range_offset(token: Token<'_>) -> Answer {
    let map = array(token, 1, MapFlags::empty())?;
    let [low, high] = map_value(&map, 1, 1 << 30);
    let store = build::store_imm(opcode::W, 1, 0, 0);
    let [zero, exit] = RETURN_0;
    let insns = [low, high, store, zero, exit];
    let mut buffer = vec![0; 4096];
    let mut log = Log::new(1, &mut buffer);
    let loaded = prog_load(
        &program(token, ProgramType::SOCKET_FILTER, &insns),
        Some(&mut log),
    );
    match loaded {
        Err(_) if log.text().contains("invalid access to map value pointer") => Ok(true),
        other => succeeds(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_has_its_row() {
        for feature in Feature::ALL {
            assert!(
                PROBES.iter().any(|(known, _)| known == feature),
                "{}",
                feature.name()
            );
        }
    }

    #[test]
    fn names_are_where_the_offsets_say() {
        for (offset, name) in [
            (1, "x"),
            (DATA, ".data"),
            (QMARK_DATA, "?.data"),
            (ARG_CTX, "arg:ctx"),
            (MAIN_PROG, "main_prog"),
            (SUB_PROG, "sub_prog"),
            (CTX, "ctx"),
        ] {
            let rest = STRINGS.get(usize::try_from(offset).unwrap()..).unwrap();
            assert_eq!(rest.split(|b| *b == 0).next().unwrap(), name.as_bytes());
        }
    }
}
