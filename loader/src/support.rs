//! What the running kernel supports, for users to ask: types of programs and maps, helpers,
//! functions and members of its own. Each is asked once.

use std::os::fd::{AsFd as _, BorrowedFd};

use purebpf_btf::{Btf, Kind, TypeId, TypeKind};
use purebpf_insn::{AttachType, Insn, MapFlags, MapType, ProgramFlags, ProgramType, build};
use purebpf_plan::TargetKernel as _;
use purebpf_syscall::{
    CallError, ENOTSUPP, Errno, Log, MapCreate, MapFd, ProgLoad, btf_load, host, prog_load,
};

use crate::RunningKernel;
use crate::answers::Question;
use crate::load::memlock;
use crate::probe::UNTOLD;

/// How it shows that the kernel knows a type of program.
#[derive(Clone, Copy)]
enum Sign {
    /// It loads.
    Loads,
    /// It is refused, with this in the log.
    Says(&'static str),
    /// It is refused with `ENOTSUPP`, which is not what an unknown type is refused with.
    NotSupported,
}

/// Types of programs that need more than an instruction: how they are to be attached, and the sign.
const PROGRAMS: &[(ProgramType, AttachType, Sign)] = &[
    (
        ProgramType::CGROUP_SOCK_ADDR,
        AttachType::CGROUP_INET4_CONNECT,
        Sign::Loads,
    ),
    (
        ProgramType::CGROUP_SOCKOPT,
        AttachType::CGROUP_GETSOCKOPT,
        Sign::Loads,
    ),
    (ProgramType::SK_LOOKUP, AttachType::SK_LOOKUP, Sign::Loads),
    (ProgramType::LIRC_MODE2, AttachType::LIRC_MODE2, Sign::Loads),
    (ProgramType::NETFILTER, AttachType::NETFILTER, Sign::Loads),
    (
        ProgramType::TRACING,
        AttachType::TRACE_FENTRY,
        Sign::Says("attach_btf_id 1 is not a function"),
    ),
    (
        ProgramType::LSM,
        AttachType::MODIFY_RETURN,
        Sign::Says("attach_btf_id 1 is not a function"),
    ),
    (
        ProgramType::EXT,
        AttachType(0),
        Sign::Says("Cannot replace kernel functions"),
    ),
    (ProgramType::STRUCT_OPS, AttachType(0), Sign::NotSupported),
];

/// What a map of each type is like: key, value, entries, flags. The others have 4, 4, 1 and none.
const MAPS: &[(MapType, [u32; 3], MapFlags)] = &[
    (MapType::STACK_TRACE, [4, 8, 1], MapFlags::empty()),
    (MapType::LPM_TRIE, [8, 8, 1], MapFlags::NO_PREALLOC),
    (MapType::CGROUP_STORAGE, [16, 8, 0], MapFlags::empty()),
    (
        MapType::PERCPU_CGROUP_STORAGE,
        [16, 8, 0],
        MapFlags::empty(),
    ),
    (MapType::QUEUE, [0, 4, 1], MapFlags::empty()),
    (MapType::STACK, [0, 4, 1], MapFlags::empty()),
    (MapType::BLOOM_FILTER, [0, 4, 1], MapFlags::empty()),
    (MapType::SK_STORAGE, [4, 8, 0], MapFlags::NO_PREALLOC),
    (MapType::INODE_STORAGE, [4, 8, 0], MapFlags::NO_PREALLOC),
    (MapType::TASK_STORAGE, [4, 8, 0], MapFlags::NO_PREALLOC),
    (MapType::CGRP_STORAGE, [4, 8, 0], MapFlags::NO_PREALLOC),
    (MapType::RINGBUF, [0, 0, PAGE], MapFlags::empty()),
    (MapType::USER_RINGBUF, [0, 0, PAGE], MapFlags::empty()),
    (MapType::ARENA, [0, 0, 1], MapFlags::MMAPABLE),
    (MapType::INSN_ARRAY, [4, 16, 1], MapFlags::empty()),
];

/// Stands for the bytes of a page.
const PAGE: u32 = u32::MAX;

/// What the verifier says of a helper that a type of program does not have.
const NO_HELPER: [&str; 3] = [
    "invalid func ",
    "unknown func ",
    "program of this type cannot use helper ",
];

impl RunningKernel {
    /// Whether programs of a type can be loaded; nothing if this process cannot find out, for a lack
    /// of rights or of memory, or because the type is unknown here.
    #[doc(alias = "libbpf_probe_bpf_prog_type")]
    #[must_use]
    pub fn has_program_type(&self, program_type: ProgramType) -> Option<bool> {
        program_type.name()?;
        self.ask(Question::Program(program_type))
    }

    /// Whether maps of a type can be created; nothing as for [`Self::has_program_type`].
    #[doc(alias = "libbpf_probe_bpf_map_type")]
    #[must_use]
    pub fn has_map_type(&self, map_type: MapType) -> Option<bool> {
        map_type.name().filter(|_| map_type != MapType::UNSPEC)?;
        self.ask(Question::Map(map_type))
    }

    /// Whether programs of a type may call a helper, by its number (see
    /// [`helpers::id`](purebpf_insn::helpers::id)); nothing as for [`Self::has_program_type`], and for
    /// types that cannot be tried without something to attach to.
    #[doc(alias = "libbpf_probe_bpf_helper")]
    #[must_use]
    pub fn has_helper(&self, program_type: ProgramType, helper: i32) -> Option<bool> {
        let is_simple = |row: &&(ProgramType, AttachType, Sign)| row.0 == program_type;
        let row = PROGRAMS.iter().find(is_simple);
        if row.is_some_and(|(_, _, sign)| !matches!(sign, Sign::Loads)) {
            return None;
        }
        program_type.name()?;
        self.ask(Question::Helper(program_type, helper))
    }

    /// Whether the kernel, or one of its modules, has a function that programs may call (a kfunc);
    /// nothing if its BTF does not tell which are (before 6.10).
    #[must_use]
    pub fn has_function(&self, name: &str) -> Option<bool> {
        let btf = self.btf().ok()?;
        let kfuncs = kfuncs(&btf);
        if kfuncs.is_empty() {
            return None;
        }
        let named = |btf: &Btf, ids: Vec<TypeId>| {
            let mut ids = ids.into_iter();
            ids.any(|id| btf.name(id).is_ok_and(|known| known == name))
        };
        if named(&btf, kfuncs) {
            return Some(true);
        }
        let modules = self.modules().ok()?;
        let mut modules = modules.iter();
        Some(modules.any(|module| named(&module.btf, self::kfuncs(&module.btf))))
    }

    /// Whether a struct or union of the kernel has a member, be it in an unnamed one inside; nothing
    /// without BTF. A type that there is none of has no members.
    #[must_use]
    pub fn has_member(&self, ty: &str, member: &str) -> Option<bool> {
        let btf = self.btf().ok()?;
        let found = [Kind::Struct, Kind::Union].map(|kind| btf.find(ty, kind));
        let mut found = found.into_iter().flatten();
        Some(found.any(|id| has_member(&btf, id, member, MAX_NESTING)))
    }

    fn ask(&self, question: Question) -> Option<bool> {
        memlock::raise(self);
        let token = self.token().map(|token| token.as_fd());
        self.answers().get(question, || match question {
            Question::Program(ty) => program(token, ty),
            Question::Map(ty) => map(token, ty),
            Question::Helper(ty, helper) => has_helper(token, ty, helper),
        })
    }
}

/// Structs inside of structs that are looked through.
const MAX_NESTING: u32 = 16;

fn has_member(btf: &Btf, id: TypeId, member: &str, depth: u32) -> bool {
    let kind = btf.skip_mods_and_typedefs(id).and_then(|id| btf.ty(id));
    let Ok(TypeKind::Struct(composite) | TypeKind::Union(composite)) = kind.map(|ty| ty.kind)
    else {
        return false;
    };
    composite.members().iter().any(|it| {
        let name = btf.name_at(it.name_off).unwrap_or_default();
        match (name.is_empty(), depth.checked_sub(1)) {
            (true, Some(depth)) => has_member(btf, it.ty, member, depth),
            (true, None) => false,
            (false, _) => name == member,
        }
    })
}

/// The functions with the tag of those that programs may call.
fn kfuncs(btf: &Btf) -> Vec<TypeId> {
    let tagged = btf.own_of(Kind::DeclTag).filter_map(|tag| {
        let TypeKind::DeclTag { ty, component: -1 } = tag.kind else {
            return None;
        };
        (btf.name_at(tag.name_off).ok()? == "bpf_kfunc").then_some(ty)
    });
    tagged.collect()
}

/// Whether an error tells of the kernel rather than of this process now.
fn tells(error: &CallError) -> bool {
    !UNTOLD.contains(&error.errno())
}

const RETURN_0: [Insn; 2] = [build::mov64_imm(0, 0), build::exit()];

/// What a program of a type is tried with.
fn trial<'a>(token: Option<BorrowedFd<'a>>, ty: ProgramType, insns: &'a [Insn]) -> ProgLoad<'a> {
    let row = PROGRAMS.iter().find(|(known, ..)| *known == ty);
    let mut params = ProgLoad {
        token,
        program_type: ty,
        instructions: insns,
        license: c"GPL",
        kernel_version: host::kernel_version().map_or(0, host::version_code),
        expected_attach_type: row.map_or(AttachType(0), |(_, attach_type, _)| *attach_type),
        ..ProgLoad::default()
    };
    if row.is_some_and(|(.., sign)| matches!(sign, Sign::Says(_))) {
        params.attach_btf_id = 1;
    }
    if ty == ProgramType::SYSCALL {
        params.flags = ProgramFlags::SLEEPABLE;
    }
    params
}

/// Loads it; with what the verifier says, if it does not.
fn load(params: &ProgLoad<'_>) -> Result<(), (CallError, String)> {
    let mut buffer = vec![0; 4096];
    let mut log = Log::new(1, &mut buffer);
    match prog_load(params, Some(&mut log)) {
        Ok(_) => Ok(()),
        Err(error) => Err((error, log.text())),
    }
}

fn program(token: Option<BorrowedFd<'_>>, ty: ProgramType) -> Option<bool> {
    let row = PROGRAMS.iter().find(|(known, ..)| *known == ty);
    let sign = row.map_or(Sign::Loads, |(.., sign)| *sign);
    let result = load(&trial(token, ty, &RETURN_0));
    match (result, sign) {
        (Ok(()), Sign::Loads) => Some(true),
        (Ok(()), _) => Some(false),
        (Err((_, log)), Sign::Says(text)) if log.contains(text) => Some(true),
        (Err((error, _)), Sign::NotSupported) if error.raw_os_error() == ENOTSUPP => Some(true),
        (Err((error, _)), _) => tells(&error).then_some(false),
    }
}

fn has_helper(token: Option<BorrowedFd<'_>>, ty: ProgramType, helper: i32) -> Option<bool> {
    let insns = [build::call(helper), build::exit()];
    match load(&trial(token, ty, &insns)) {
        Ok(()) => Some(true),
        Err((_, log)) if NO_HELPER.iter().any(|text| log.contains(text)) => Some(false),
        // Of a type that cannot be loaded at all, or a process that may not, nothing is known.
        Err((error, log)) if !tells(&error) || log.is_empty() => None,
        // It complains of the arguments, which there are none.
        Err(_) => Some(true),
    }
}

/// A struct with a number and a lock, as maps of storage want it; id 3.
const LOCKED: &[u32] = &[
    1,
    1 << 24,
    4,
    1 << 24 | 32, // int
    5,
    4 << 24 | 1,
    4,
    19,
    1,
    0, // struct bpf_spin_lock { int val; }
    0,
    4 << 24 | 2,
    8,
    23,
    1,
    0,
    27,
    2,
    32, // struct { int cnt; struct bpf_spin_lock l; }
];
const LOCKED_NAMES: &[u8] = b"\0int\0bpf_spin_lock\0val\0cnt\0l\0";

fn locked() -> Vec<u8> {
    let types: Vec<u8> = LOCKED.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0);
    let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
    bytes.extend([1, 0]);
    let (types_len, names_len) = (len(&types), len(LOCKED_NAMES));
    for word in [24, 0, types_len, types_len, names_len] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(types);
    bytes.extend_from_slice(LOCKED_NAMES);
    bytes
}

fn map(token: Option<BorrowedFd<'_>>, ty: MapType) -> Option<bool> {
    let row = MAPS.iter().find(|(known, ..)| *known == ty);
    let ([key_size, value_size, max_entries], flags) = row
        .map_or(([4, 4, 1], MapFlags::empty()), |(_, sizes, flags)| {
            (*sizes, *flags)
        });
    let max_entries = match max_entries {
        PAGE => u32::try_from(host::page_size().ok()?).ok()?,
        other => other,
    };
    let mut params = MapCreate {
        map_type: ty,
        key_size,
        value_size,
        max_entries,
        flags,
        token,
        ..MapCreate::default()
    };
    let (inner, btf);
    match ty {
        MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS => {
            let like = MapCreate {
                map_type: MapType::HASH,
                key_size: 4,
                value_size: 4,
                max_entries: 1,
                token,
                ..MapCreate::default()
            };
            inner = MapFd::create(&like, None).ok()?;
            params.inner_map = Some(inner.as_fd());
        }
        MapType::SK_STORAGE
        | MapType::INODE_STORAGE
        | MapType::TASK_STORAGE
        | MapType::CGRP_STORAGE => {
            btf = btf_load(&locked(), None, token).ok()?;
            params.btf = Some(btf.as_fd());
            params.btf_key_type_id = 1;
            params.btf_value_type_id = 3;
        }
        MapType::STRUCT_OPS => params.btf_vmlinux_value_type_id = 1,
        _ => {}
    }
    match MapFd::create(&params, None) {
        Ok(_) => Some(true),
        Err(error) if ty == MapType::STRUCT_OPS => match error.raw_os_error() {
            ENOTSUPP => Some(true),
            _ => tells(&error).then_some(false),
        },
        // A type that is known may still lack its module, or its limits.
        Err(error) if error.errno() == Errno::EINVAL => Some(false),
        Err(error) => tells(&error).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_storage_is_sound() {
        let btf = Btf::parse(locked()).unwrap();
        assert_eq!(btf.resolve_size(TypeId(3)).unwrap(), 8);
        assert_eq!(btf.name(TypeId(2)).unwrap(), "bpf_spin_lock");
        assert!(has_member(&btf, TypeId(3), "l", 1));
        assert!(!has_member(&btf, TypeId(3), "val", 1));
    }
}
