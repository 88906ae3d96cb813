//! What the tests of the facade share, beside what those of the handles do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use purebpf::{Object, ObjectSpec, RingBuffer};
use purebpf_syscall::host;

/// Where an arena can be put: neither programs nor sanitizers have memory of their own there.
pub const FREE_ADDRESS: u64 = 0x58 << 40;

/// A compiled fixture. Inside a virtual machine they are in the working directory.
pub fn fixture(name: &str) -> PathBuf {
    let here = PathBuf::from("tests/bpf").join(name);
    match here.exists() {
        true => here,
        false => PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/bpf")
            .join(name),
    }
}

pub fn open(name: &str) -> ObjectSpec {
    ObjectSpec::open(fixture(name)).unwrap()
}

/// Something that the running kernel lacks altogether, and no right or mount can bring.
pub fn lacks(is_missing: bool, what: &str) -> bool {
    if is_missing {
        println!("not on this kernel: {what}");
    }
    is_missing
}

/// Whether the kernel is older than this.
pub fn older_than(major: u32, minor: u32) -> bool {
    let is_older = host::release().unwrap() < (major, minor, 0);
    lacks(is_older, &format!("what came with {major}.{minor}"))
}

/// The pieces of memory that are shared with the kernel.
pub fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let is_shared = |line: &&str| line.contains("bpf-map") || line.contains("perf_event");
    maps.lines().filter(is_shared).count()
}

pub fn has_kprobes() -> bool {
    let is_missing = !PathBuf::from("/sys/bus/event_source/devices/kprobe/type").exists();
    !lacks(is_missing, "kprobes")
}

/// Waits for a record that satisfies the condition.
pub fn wait_for(ring: &mut RingBuffer, mut is_wanted: impl FnMut(&[u8]) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        while let Some(record) = ring.next().unwrap() {
            if is_wanted(&record) {
                return true;
            }
        }
        ring.wait(Some(Duration::from_millis(100))).unwrap();
    }
    false
}

/// A system call that nobody else makes and that does nothing.
pub fn getpgid() {
    nix::unistd::getpgid(None).unwrap();
}

/// The value of a variable of the loaded object.
pub fn variable(object: &Object, spec: &ObjectSpec, section: &str, name: &str) -> Vec<u8> {
    let btf = spec.btf().unwrap();
    let id = btf.find(section, purebpf::btf::Kind::Datasec).unwrap();
    let purebpf::btf::TypeKind::Datasec { secinfos, .. } = btf.ty(id).unwrap().kind else {
        panic!("{section} is no section");
    };
    let entry = secinfos
        .iter()
        .find(|entry| btf.name(entry.ty).unwrap() == name)
        .unwrap();
    let mut value = vec![0; entry.size as usize];
    let memory = object.map(section).unwrap().memory().unwrap();
    memory.read(entry.offset as usize, &mut value).unwrap();
    value
}

/// A value of at most 8 bytes as a number.
pub fn number(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    let start = match cfg!(target_endian = "little") {
        true => 0,
        false => 8 - bytes.len(),
    };
    wide[start..start + bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(wide)
}

/// Sends a few bytes over a connection that uses this congestion control.
pub fn carry_a_connection(congestion: &str) {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let name = std::ffi::OsString::from(congestion);
    let option = nix::sys::socket::sockopt::TcpCongestion;
    nix::sys::socket::setsockopt(&client, option, &name).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[7; 4096]).unwrap();
    let mut received = [0; 4096];
    server.read_exact(&mut received).unwrap();
}
