//! What tests on a running kernel share: whether they can run, places to pin, small programs.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub(crate) mod attached;
pub(crate) mod cgroups;
pub(crate) mod netkit;
pub(crate) mod network;
pub(crate) mod rtnetlink;

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use purebpf_btf::{Btf, Kind};
use purebpf_handles::{Errno, Error, Map, MapAttributes, Program, ProgramAttributes};
use purebpf_insn::{AttachType, Insn, MapType, ProgramType, build, opcode as op};
use purebpf_syscall::host::{self, Capability};

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

/// Something that the running kernel lacks altogether, so that no right and no mount would help: says
/// that the test is left out.
pub(crate) fn lacks(is_missing: bool, what: &str) -> bool {
    if is_missing {
        println!("not on this kernel: {what}");
    }
    is_missing
}

/// Whether the running kernel is this one or newer.
pub(crate) fn since(major: u32, minor: u32) -> bool {
    host::release().unwrap() >= (major, minor, 0)
}

/// Whether the running kernel is older than the first one that has `what`, as [`lacks`].
pub(crate) fn older_than(major: u32, minor: u32, what: &str) -> bool {
    lacks(!since(major, minor), what)
}

/// Whether many traced functions may be one link: since 7.2, where ftrace finds the programs of all of
/// them in one table, which only x86_64 has.
pub(crate) fn traces_many() -> bool {
    let what = "links of many functions by type";
    !older_than(7, 2, what) && !lacks(cfg!(not(target_arch = "x86_64")), what)
}

/// Whether the kernel compiles programs. One that interprets them has no callbacks, no trampolines and
/// no arenas.
pub(crate) fn jit() -> bool {
    !lacks(
        !Path::new("/proc/sys/net/core/bpf_jit_enable").exists(),
        "a JIT",
    )
}

/// Whether this process may do anything; and lock as much memory as it likes from now on, which is
/// what kernels before 5.11 count maps and programs as.
pub(crate) fn root() -> bool {
    let is_root = can(host::effective_uid() == 0, "root");
    if is_root && !since(5, 11) {
        host::set_memlock_limit(u64::MAX).unwrap();
    }
    is_root
}

/// Whether this becomes true soon, for what the kernel does a moment later; on a busy machine it takes its
/// time.
pub(crate) fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    condition()
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

/// A mount of its own, gone with it.
pub(crate) struct FileSystem(PathBuf);

impl FileSystem {
    /// Mounts a file system of this kind, for instance a bpffs: `bpf`.
    pub(crate) fn mount(kind: &str) -> Self {
        let path = std::env::temp_dir().join(fresh_name());
        std::fs::create_dir(&path).unwrap();
        let none = None::<&str>;
        mount(none, &path, Some(kind), MsFlags::empty(), none).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for FileSystem {
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

/// The same, but it counts this thread alone, so that others on the machine do not matter.
pub(crate) fn counting_here(map: &Map) -> Vec<Insn> {
    let mut program = only_here();
    program.extend(counting(map, 0));
    program
}

/// Goes on in this thread; ends with 0 in others.
pub(crate) fn only_here() -> Vec<Insn> {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let thread = thread.file_name().unwrap().to_str().unwrap();
    vec![
        build::call(14),
        Insn::new(op::ALU | op::MOV | op::X, 0, 0, 0, 0),
        Insn::new(op::JMP | op::JEQ | op::K, 0, 0, 2, thread.parse().unwrap()),
        build::mov64_imm(0, 0),
        build::exit(),
    ]
}

/// A program that stores its cookie in the counter, in this thread.
pub(crate) fn storing_cookie(map: &Map) -> Vec<Insn> {
    // The helper wants the context, which is in register 1 at the start.
    let mut program = vec![build::mov64_reg(6, 1)];
    program.extend(only_here());
    program.extend([
        build::mov64_reg(1, 6),
        build::call(174),
        build::mov64_reg(6, 0),
    ]);
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

/// Loads a tracing program for a function or typedef of the kernel.
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

/// Loads a program; `None`, said as by [`lacks`], if the kernel refuses what is like it to everybody,
/// without a word.
pub(crate) fn load_unless_refused(attributes: &ProgramAttributes) -> Option<Program> {
    let error = match Program::load(attributes) {
        Ok(program) => return Some(program),
        Err(error) => error,
    };
    let refused = matches!(error, Error::Call { .. }) && error.errno() == Some(Errno::EPERM);
    if !refused || !able() {
        fail(&error);
    }
    lacks(true, "programs on functions");
    None
}

/// Whether this process has every right that programs ask for.
pub(crate) fn able() -> bool {
    let all = [Capability::Bpf, Capability::Perfmon, Capability::SysAdmin];
    let has = |capability| host::has_capability(capability).unwrap();
    all.into_iter().all(has)
}

pub(crate) fn fail(error: &Error) -> ! {
    panic!("{error}: {error:?}")
}

/// The kernel's BTF, if it has any.
pub(crate) fn kernel_btf() -> Option<&'static Btf> {
    static BTF: OnceLock<Option<Btf>> = OnceLock::new();
    let read = || {
        let data = std::fs::read("/sys/kernel/btf/vmlinux").ok()?;
        Some(Btf::parse(data).unwrap())
    };
    BTF.get_or_init(read).as_ref()
}

/// The id of a type in the kernel's BTF; `None`, said as by [`lacks`], if it is not there.
pub(crate) fn kernel_type(kind: Kind, name: &str) -> Option<u32> {
    let id = kernel_btf().and_then(|btf| btf.find(name, kind));
    lacks(id.is_none(), name);
    id.map(|id| id.0)
}

/// Fds of this process that are open.
pub(crate) fn open_fds() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
