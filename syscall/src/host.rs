//! Facts of this machine and process: CPUs, kernel version, rights, limits, network devices.

use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use crate::CallError;

const POSSIBLE_CPUS: &str = "/sys/devices/system/cpu/possible";

/// How many CPUs the kernel has room for: the number of values in an element of a per-CPU map
/// (`libbpf_num_possible_cpus`). Read once.
///
/// # Errors
/// The file in `/sys` cannot be read, or makes no sense.
pub fn possible_cpus() -> Result<usize, CallError> {
    static COUNT: OnceLock<usize> = OnceLock::new();
    if let Some(count) = COUNT.get() {
        return Ok(*count);
    }
    let count = cpu_list(POSSIBLE_CPUS)?.len();
    Ok(*COUNT.get_or_init(|| count))
}

/// The numbers of the CPUs that run now, ascending.
///
/// # Errors
/// As [`possible_cpus`].
pub fn online_cpus() -> Result<Vec<u32>, CallError> {
    cpu_list("/sys/devices/system/cpu/online")
}

fn cpu_list(path: &str) -> Result<Vec<u32>, CallError> {
    const CALL: &str = "read CPU list";
    let text = std::fs::read_to_string(path).map_err(|error| CallError::io(CALL, &error))?;
    parse_cpu_list(&text).ok_or_else(|| CallError::new(CALL, Errno::EINVAL))
}

/// Reads a list of CPUs such as `0-3,8`; `None` if it is empty or no such list.
#[must_use]
pub fn parse_cpu_list(text: &str) -> Option<Vec<u32>> {
    // More than the kernel can be built for, and a bound for hostile text.
    const MOST: u32 = 1 << 16;
    let mut ranges = Vec::new();
    for item in text.split([',', '\n']).filter(|item| !item.is_empty()) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        ranges.push(first..last.saturating_add(1));
    }
    // Each CPU is visited once, however often it is named.
    ranges.sort_unstable_by_key(|range| range.start);
    let mut cpus = Vec::new();
    let mut next = 0;
    for range in ranges {
        cpus.extend(range.start.max(next)..range.end);
        next = next.max(range.end);
    }
    (!cpus.is_empty()).then_some(cpus)
}

/// Major, minor and patch of a kernel.
pub type KernelVersion = (u32, u32, u32);

/// The version as `LINUX_VERSION_CODE` has it.
#[must_use]
pub fn version_code((major, minor, patch): KernelVersion) -> u32 {
    (major << 16)
        .saturating_add(minor << 8)
        .saturating_add(patch.min(255))
}

/// The version of the kernel that runs, 0.0.0 if it does not say so in numbers. Distributions that
/// give the release another number tell the real one elsewhere, which is looked up first.
///
/// # Errors
/// `uname` fails.
pub fn kernel_version() -> Result<KernelVersion, CallError> {
    let ubuntu = std::fs::read_to_string("/proc/version_signature").ok();
    let name = nix::sys::utsname::uname().map_err(CallError::at("uname"))?;
    Ok(version_of(
        ubuntu.as_deref(),
        &name.version().to_string_lossy(),
        &name.release().to_string_lossy(),
    ))
}

fn version_of(signature: Option<&str>, version: &str, release: &str) -> KernelVersion {
    let ubuntu = || signature?.split_whitespace().nth(2).and_then(parse_version);
    let debian = || {
        version
            .split_once("Debian ")
            .and_then(|(_, rest)| parse_version(rest))
    };
    ubuntu()
        .or_else(debian)
        .or_else(|| parse_version(release))
        .unwrap_or_default()
}

/// The version that `uname -r` begins with.
///
/// # Errors
/// `uname` fails.
pub fn release() -> Result<KernelVersion, CallError> {
    let name = nix::sys::utsname::uname().map_err(CallError::at("uname"))?;
    Ok(parse_version(&String::from_utf8_lossy(name.release().as_bytes())).unwrap_or_default())
}

/// Reads the three numbers that a text begins with: `6.18.44-foo`.
fn parse_version(text: &str) -> Option<KernelVersion> {
    let mut numbers = text.splitn(3, '.').map(|part| {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part.get(..end)?
            .parse::<u32>()
            .ok()
            .filter(|number| *number < 1 << 16)
    });
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// `uname -r`, as it is.
///
/// # Errors
/// `uname` fails.
pub fn release_name() -> Result<String, CallError> {
    let name = nix::sys::utsname::uname().map_err(CallError::at("uname"))?;
    Ok(String::from_utf8_lossy(name.release().as_bytes()).into_owned())
}

/// Soft and hard limit of locked memory, bytes; `u64::MAX` is no limit. BPF objects counted
/// against it before 5.11.
///
/// # Errors
/// `getrlimit` fails.
pub fn memlock_limit() -> Result<(u64, u64), CallError> {
    let limits = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(CallError::at("getrlimit"))?;
    Ok((bytes_of(limits.0), bytes_of(limits.1)))
}

/// Sets soft and hard limit of locked memory, bytes; `u64::MAX` is no limit.
///
/// # Errors
/// `EPERM` to go above the hard limit without `CAP_SYS_RESOURCE`.
pub fn set_memlock_limit(bytes: u64) -> Result<(), CallError> {
    // What does not fit in the type is no limit either.
    let limit = rlim_t::try_from(bytes).unwrap_or(RLIM_INFINITY);
    setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit).map_err(CallError::at("setrlimit"))
}

fn bytes_of(limit: rlim_t) -> u64 {
    if limit == RLIM_INFINITY {
        u64::MAX
    } else {
        limit.into()
    }
}

/// The effective user id.
#[must_use]
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// A capability that BPF asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// `CAP_NET_ADMIN`: programs of the network.
    NetAdmin = 12,
    /// `CAP_SYS_ADMIN`: everything, and ids.
    SysAdmin = 21,
    /// `CAP_SYS_RESOURCE`: raise limits.
    SysResource = 24,
    /// `CAP_PERFMON`: programs of tracing (5.8).
    Perfmon = 38,
    /// `CAP_BPF`: maps and loading (5.8).
    Bpf = 39,
}

/// Whether this thread has a capability in effect.
///
/// # Errors
/// `/proc` is not there.
pub fn has_capability(capability: Capability) -> Result<bool, CallError> {
    const CALL: &str = "read /proc/thread-self/status";
    let status = std::fs::read_to_string("/proc/thread-self/status")
        .map_err(|error| CallError::io(CALL, &error))?;
    let effective = parse_effective(&status).ok_or(CallError::new(CALL, Errno::EINVAL))?;
    Ok(effective >> (capability as u32) & 1 == 1)
}

fn parse_effective(status: &str) -> Option<u64> {
    let field = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(field.trim(), 16).ok()
}

/// The index of a network device.
///
/// # Errors
/// `ENODEV` without such a device.
pub fn ifindex(name: &str) -> Result<u32, CallError> {
    nix::net::if_::if_nametoindex(name).map_err(CallError::at("if_nametoindex"))
}

/// The name of a network device.
///
/// # Errors
/// `ENXIO` without such a device.
pub fn ifname(index: u32) -> Result<String, CallError> {
    let name = nix::net::if_::if_indextoname(index).map_err(CallError::at("if_indextoname"))?;
    Ok(name.to_string_lossy().into_owned())
}

/// The names of all network devices, in the network name space of this thread.
///
/// # Errors
/// `if_nameindex` fails.
pub fn ifnames() -> Result<Vec<String>, CallError> {
    let devices = nix::net::if_::if_nameindex().map_err(CallError::at("if_nameindex"))?;
    let name = |device: &nix::net::if_::Interface| device.name().to_string_lossy().into_owned();
    Ok(devices.iter().map(name).collect())
}

/// Bytes of a page of memory.
///
/// # Errors
/// `sysconf` fails.
pub fn page_size() -> Result<usize, CallError> {
    const CALL: &str = "sysconf";
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .map_err(CallError::at(CALL))?
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| size.is_power_of_two())
        .ok_or(CallError::new(CALL, Errno::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_as_the_kernel_writes_them() {
        let list = |text| parse_cpu_list(text);
        assert_eq!(list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(list("0\n"), Some(vec![0]));
        assert_eq!(list("2-3,1-2"), Some(vec![1, 2, 3]));
        for text in ["", "\n", "3-1", "-1", "a", "0-4294967295"] {
            assert_eq!(list(text), None, "{text}");
        }
    }

    #[test]
    fn a_cpu_that_is_named_many_times_is_visited_once() {
        let cpus = parse_cpu_list(&"0-65535\n".repeat(100_000)).unwrap();
        assert_eq!(cpus, (0..1 << 16).collect::<Vec<u32>>());
    }

    #[test]
    fn version_prefers_what_the_distribution_says() {
        let version = |signature, version| version_of(signature, version, "6.8.0-31-generic");
        assert_eq!(
            version(Some("Ubuntu 6.8.0-31.31-generic 6.8.1"), "#31"),
            (6, 8, 1)
        );
        assert_eq!(version(None, "#1 SMP Debian 6.1.90-1 (2024)"), (6, 1, 90));
        assert_eq!(version(None, "#1 SMP"), (6, 8, 0));
        assert_eq!(version_of(None, "", "unknown"), (0, 0, 0));
        assert_eq!(version_code((5, 4, 300)), 0x0005_04ff);
    }

    #[test]
    fn effective_capabilities_are_read_from_their_line() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000000c000201000\n";
        let effective = parse_effective(status).unwrap();
        let has = |capability: Capability| effective >> (capability as u32) & 1 == 1;
        assert!(has(Capability::Bpf) && has(Capability::NetAdmin) && !has(Capability::SysResource));
        assert_eq!(parse_effective("Name:\tx\n"), None);
    }

    #[test]
    fn this_machine_has_facts() {
        assert!(possible_cpus().unwrap() >= online_cpus().unwrap().len());
        assert!(page_size().unwrap() >= 4096);
        assert!(kernel_version().unwrap() > (3, 0, 0));
        let loopback = ifindex("lo").unwrap();
        assert_eq!(ifname(loopback).unwrap(), "lo");
        assert!(ifnames().unwrap().iter().any(|name| name == "lo"));
        assert!(ifindex("no-such-device").is_err());
    }
}
