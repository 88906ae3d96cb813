//! What tests on a running kernel share: whether they can run, places to pin, small programs.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use purebpf_handles::{Map, MapAttributes, Program, ProgramAttributes};
use purebpf_insn::{AttachType, Insn, MapType, ProgramType, build, opcode as op};

/// Whether `there`; if not, says that the test is left out, or fails where it must not be.
pub(crate) fn can(there: bool, what: &str) -> bool {
    if !there {
        assert!(
            std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_none(),
            "this test needs {what}"
        );
        println!("left out, needs {what}");
    }
    there
}

/// Whether this process may do anything.
pub(crate) fn root() -> bool {
    can(purebpf_syscall::host::effective_uid() == 0, "root")
}

/// Where tracefs is mounted, if it is, or can be now.
pub(crate) fn tracefs() -> bool {
    let root = purebpf_handles::tracefs::root();
    if !root.join("events").exists() {
        let none = None::<&str>;
        mount(none, root, Some("tracefs"), MsFlags::empty(), none).ok();
    }
    can(root.join("events").exists(), "tracefs")
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "purebpf-test-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A bpffs of its own, gone with it.
pub(crate) struct Bpffs(PathBuf);

impl Bpffs {
    pub(crate) fn mount() -> Self {
        let path = std::env::temp_dir().join(fresh_name());
        std::fs::create_dir(&path).unwrap();
        mount(
            None::<&str>,
            &path,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
        std::fs::remove_dir(&self.0).unwrap();
    }
}

/// A cgroup of version 2 of its own, gone with it.
pub(crate) struct Group(pub(crate) PathBuf);

impl Group {
    pub(crate) fn create() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let path = words.next()?;
            (words.next() == Some("cgroup2")).then(|| path.to_owned())
        });
        if !can(root.is_some(), "cgroup2") {
            return None;
        }
        let path = Path::new(&root?).join(fresh_name());
        std::fs::create_dir(&path).unwrap();
        Some(Self(path))
    }

    /// Moves this process in, or back to the root.
    pub(crate) fn enter(&self, inside: bool) {
        let directory = if inside {
            &self.0
        } else {
            self.0.parent().unwrap()
        };
        std::fs::write(directory.join("cgroup.procs"), "0").unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).unwrap();
    }
}

/// An array of one element of 8 bytes.
pub(crate) fn counter() -> Map {
    Map::create(&MapAttributes::new(MapType::ARRAY, 4, 8, 1).name("counter")).unwrap()
}

pub(crate) fn count(map: &Map) -> u64 {
    map.typed::<u32, u64>().unwrap().get(&0).unwrap().unwrap()
}

pub(crate) fn map_address(register: u8, map: &Map) -> [Insn; 2] {
    let fd = u64::from(map.as_fd().as_raw_fd().cast_unsigned());
    build::ld_imm64(register, op::PSEUDO_MAP_FD, fd)
}

/// r0 = address of element 0, or the program ends with `result`.
fn element(map: &Map, result: i32) -> Vec<Insn> {
    let [low, high] = map_address(1, map);
    vec![
        build::store_imm(op::W, 10, -4, 0),
        build::mov64_reg(2, 10),
        build::add64_imm(2, -4),
        low,
        high,
        build::call(1),
        Insn::new(op::JMP | op::JNE | op::K, 0, 0, 2, 0),
        build::mov64_imm(0, result),
        build::exit(),
    ]
}

/// A program that adds one to the counter and returns `result`.
pub(crate) fn counting(map: &Map, result: i32) -> Vec<Insn> {
    let mut program = element(map, result);
    program.extend([
        build::mov64_imm(1, 1),
        Insn::new(op::STX | op::ATOMIC | op::DW, 0, 1, 0, 0),
        build::mov64_imm(0, result),
        build::exit(),
    ]);
    program
}

/// A program that stores its cookie in the counter.
pub(crate) fn storing_cookie(map: &Map) -> Vec<Insn> {
    let mut program = vec![build::call(174), build::mov64_reg(6, 0)];
    // The context is in register 1 at the start, and the helper wants it there.
    program.extend(element(map, 0));
    program.extend([
        build::store(op::DW, 0, 0, 6),
        build::mov64_imm(0, 0),
        build::exit(),
    ]);
    program
}

pub(crate) fn attributes(program_type: ProgramType, instructions: Vec<Insn>) -> ProgramAttributes {
    ProgramAttributes {
        name: "test_program".into(),
        program_type,
        license: "GPL".into(),
        instructions,
        ..ProgramAttributes::default()
    }
}

pub(crate) fn load(program_type: ProgramType, instructions: Vec<Insn>) -> Program {
    Program::load(&attributes(program_type, instructions)).unwrap_or_else(|error| fail(&error))
}

pub(crate) fn load_for(
    program_type: ProgramType,
    attach_type: AttachType,
    instructions: Vec<Insn>,
) -> Program {
    let attributes = ProgramAttributes {
        expected_attach_type: attach_type,
        ..attributes(program_type, instructions)
    };
    Program::load(&attributes).unwrap_or_else(|error| fail(&error))
}

/// Loads a program for a function or typedef of the kernel.
pub(crate) fn load_traced(
    attach_type: AttachType,
    target: u32,
    instructions: Vec<Insn>,
) -> Program {
    let attributes = ProgramAttributes {
        expected_attach_type: attach_type,
        attach_btf_id: target,
        ..attributes(ProgramType::TRACING, instructions)
    };
    Program::load(&attributes).unwrap_or_else(|error| fail(&error))
}

pub(crate) fn fail(error: &purebpf_handles::Error) -> ! {
    panic!("{error}: {error:?}")
}

/// The type id of what has this kind (8 typedef, 12 function) and name in the kernel's BTF.
pub(crate) fn kernel_type(kind: u32, name: &str) -> Option<u32> {
    let data = std::fs::read("/sys/kernel/btf/vmlinux").ok()?;
    let word = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
    let header = word(4) as usize;
    let (types, len, strings) = (
        header + word(8) as usize,
        word(12) as usize,
        header + word(16) as usize,
    );
    let (mut at, mut id) = (types, 1);
    while at < types + len {
        let (name_at, info) = (strings + word(at) as usize, word(at + 4));
        let found = info >> 24 & 31;
        if found == kind
            && data[name_at..].starts_with(name.as_bytes())
            && data[name_at + name.len()] == 0
        {
            return Some(id);
        }
        let count = (info & 0xffff) as usize;
        at += 12
            + match found {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => 12 * count,
                6 | 13 => 8 * count,
                _ => 0,
            };
        id += 1;
    }
    None
}

/// Fds of this process that are open.
pub(crate) fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
