//! What can be done about a refusal, where that is certain: a table of facts to look at.

use std::os::fd::AsFd;

use purebpf_insn::{AttachType, ProgramFlags, ProgramType};
use purebpf_syscall::host::Capability;
use purebpf_syscall::{Errno, host};

use crate::{RunningKernel, probe};

/// What was refused, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) errno: Errno,
    pub(crate) program: Option<Program>,
    /// What the verifier said; nothing if it never came so far.
    pub(crate) reason: Option<&'a str>,
}

/// What a program is loaded as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) program_type: ProgramType,
    pub(crate) attach_type: AttachType,
    pub(crate) flags: ProgramFlags,
}

/// What hints ask of this machine and process; pure data in tests.
trait Facts {
    fn version(&self) -> u32;
    fn has(&self, capability: Capability) -> bool;
    fn memlock(&self) -> Option<u64>;
    /// The text of a small file of `/proc` or `/sys`.
    fn file(&self, path: &str) -> Option<String>;
    /// Whether not even an empty program of this type is taken.
    fn refuses(&self, program: Program) -> bool;
}

type Hint = fn(&dyn Facts, &Refusal<'_>) -> Option<String>;

/// The first that applies is given.
const HINTS: &[Hint] = &[rights, user_namespace, memlock, lockdown, no_such_type];

/// What can be done about a refusal, if any hint is certain.
pub(crate) fn hint(kernel: &RunningKernel, refusal: &Refusal<'_>) -> Option<String> {
    first(kernel, refusal)
}

/// What can be done about a map that was refused, by the error number.
pub(crate) fn of_map(errno: Option<Errno>) -> Option<String> {
    let refusal = Refusal {
        errno: errno?,
        program: None,
        reason: None,
    };
    first(&RunningKernel::get(), &refusal)
}

/// What can be done about a program that could not be attached.
pub(crate) fn of_attach(error: &purebpf_handles::Error) -> Option<&'static str> {
    attach(&RunningKernel::get(), error)
}

fn attach(facts: &dyn Facts, error: &purebpf_handles::Error) -> Option<&'static str> {
    use purebpf_handles::Error;
    let is_denied = matches!(error.errno(), Some(Errno::EPERM | Errno::EACCES));
    if !is_denied || facts.has(Capability::SysAdmin) {
        return None;
    }
    match error {
        Error::Call { source, .. } if source.call() == "perf_event_open" => {
            Some(match facts.has(Capability::Perfmon) {
                false => "this process lacks CAP_PERFMON (run as root)",
                // Debian's kernels do so at 3, which is their default.
                true => {
                    "kernel.perf_event_paranoid keeps perf events from all without CAP_SYS_ADMIN"
                }
            })
        }
        Error::Netlink { .. } if !facts.has(Capability::NetAdmin) => {
            Some("this process lacks CAP_NET_ADMIN (run as root)")
        }
        _ => None,
    }
}

fn first(facts: &dyn Facts, refusal: &Refusal<'_>) -> Option<String> {
    HINTS.iter().find_map(|hint| hint(facts, refusal))
}

const UNPRIVILEGED: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
const UID_MAP: &str = "/proc/self/uid_map";

/// Kernels before had no rights but that of root.
const CAP_BPF_SINCE: u32 = 0x05_08_00;
/// Kernels before charged maps and programs to `RLIMIT_MEMLOCK`.
const MEMCG_SINCE: u32 = 0x05_0b_00;

/// Programs that take `CAP_PERFMON` (the kernel's `is_perfmon_prog_type`).
const TRACING: &[ProgramType] = &[
    ProgramType::KPROBE,
    ProgramType::TRACEPOINT,
    ProgramType::PERF_EVENT,
    ProgramType::RAW_TRACEPOINT,
    ProgramType::RAW_TRACEPOINT_WRITABLE,
    ProgramType::TRACING,
    ProgramType::LSM,
    ProgramType::STRUCT_OPS,
    ProgramType::EXT,
];

/// Programs that take `CAP_NET_ADMIN` (the kernel's `is_net_admin_prog_type`).
const NETWORK: &[ProgramType] = &[
    ProgramType::SCHED_CLS,
    ProgramType::SCHED_ACT,
    ProgramType::XDP,
    ProgramType::LWT_IN,
    ProgramType::LWT_OUT,
    ProgramType::LWT_XMIT,
    ProgramType::LWT_SEG6LOCAL,
    ProgramType::SK_SKB,
    ProgramType::SK_MSG,
    ProgramType::FLOW_DISSECTOR,
    ProgramType::CGROUP_DEVICE,
    ProgramType::CGROUP_SOCK,
    ProgramType::CGROUP_SOCK_ADDR,
    ProgramType::CGROUP_SOCKOPT,
    ProgramType::CGROUP_SYSCTL,
    ProgramType::SOCK_OPS,
    ProgramType::EXT,
    ProgramType::NETFILTER,
];

/// Programs that anybody may load, as they may create maps, where `kernel.unprivileged_bpf_disabled` is 0.
const FOR_ALL: &[ProgramType] = &[ProgramType::SOCKET_FILTER, ProgramType::CGROUP_SKB];

/// Programs of which none can be loaded without a target.
const TARGETED: &[ProgramType] = &[
    ProgramType::TRACING,
    ProgramType::LSM,
    ProgramType::EXT,
    ProgramType::STRUCT_OPS,
];

fn is_denied(refusal: &Refusal<'_>) -> bool {
    refusal.reason.is_none() && matches!(refusal.errno, Errno::EPERM | Errno::EACCES)
}

fn is(program: Option<Program>, table: &[ProgramType]) -> bool {
    program.is_some_and(|program| table.contains(&program.program_type))
}

fn rights(facts: &dyn Facts, refusal: &Refusal<'_>) -> Option<String> {
    if !is_denied(refusal) || facts.has(Capability::SysAdmin) {
        return None;
    }
    if facts.version() < CAP_BPF_SINCE {
        return Some("this process lacks CAP_SYS_ADMIN (run as root)".to_owned());
    }
    let is_for_all = refusal.program.is_none() || is(refusal.program, FOR_ALL);
    let setting = facts.file(UNPRIVILEGED).filter(|_| is_for_all);
    if setting.as_deref().map(str::trim) == Some("0") {
        return None;
    }
    let needed = [
        (Capability::Bpf, "CAP_BPF", true),
        (
            Capability::Perfmon,
            "CAP_PERFMON",
            is(refusal.program, TRACING),
        ),
        (
            Capability::NetAdmin,
            "CAP_NET_ADMIN",
            is(refusal.program, NETWORK),
        ),
    ];
    let lacks =
        |(capability, _, is_needed): &(Capability, _, bool)| *is_needed && !facts.has(*capability);
    let missing: Vec<_> = needed.into_iter().filter(lacks).map(|row| row.1).collect();
    if missing.is_empty() {
        return None;
    }
    let mut text = format!("this process lacks {} (run as root)", missing.join(", "));
    if let Some(setting) = setting {
        text.push_str("; kernel.unprivileged_bpf_disabled is ");
        text.push_str(setting.trim());
    }
    Some(text)
}

/// Rights inside a user name space are none over the kernel.
fn user_namespace(facts: &dyn Facts, refusal: &Refusal<'_>) -> Option<String> {
    let map = facts.file(UID_MAP)?;
    let is_initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    (is_denied(refusal) && !is_initial).then(|| {
        "this process is in a user name space, whose rights do not count; a BPF token does (6.9)"
            .to_owned()
    })
}

fn memlock(facts: &dyn Facts, refusal: &Refusal<'_>) -> Option<String> {
    let limit = facts.memlock()?;
    let is_charged = facts.version() < MEMCG_SINCE && limit != u64::MAX;
    let is_denied = refusal.errno == Errno::EPERM && refusal.reason.is_none();
    (is_charged && is_denied)
        .then(|| format!("RLIMIT_MEMLOCK is {limit} bytes; raise it (ulimit -l unlimited)"))
}

/// Helpers that tracing programs have unless the kernel is locked down, and the modes that take
/// them away.
const LOCKED: &[(&str, &[&str])] = &[
    ("bpf_probe_write_user#", &["integrity", "confidentiality"]),
    ("bpf_probe_read_kernel#", &["confidentiality"]),
    ("bpf_probe_read_kernel_str#", &["confidentiality"]),
    ("bpf_probe_read#", &["confidentiality"]),
    ("bpf_probe_read_str#", &["confidentiality"]),
];

fn lockdown(facts: &dyn Facts, refusal: &Refusal<'_>) -> Option<String> {
    let reason = refusal.reason.filter(|_| is(refusal.program, TRACING))?;
    let is_refusal = ["cannot use helper ", "unknown func "];
    is_refusal.iter().find(|words| reason.contains(*words))?;
    let (helper, modes) = LOCKED.iter().find(|(helper, _)| {
        let mut words = reason.split(' ');
        words.any(|word| word.starts_with(helper))
    })?;
    let text = facts.file(LOCKDOWN)?;
    let mode = text.split_once('[')?.1.split_once(']')?.0;
    modes.contains(&mode).then(|| {
        let helper = helper.trim_end_matches('#');
        format!("the kernel is locked down ({mode}), which takes {helper} away")
    })
}

fn no_such_type(facts: &dyn Facts, refusal: &Refusal<'_>) -> Option<String> {
    let program = refusal.program.filter(|_| {
        let is_silent = refusal.errno == Errno::EINVAL && refusal.reason.is_none();
        is_silent && !is(refusal.program, TARGETED)
    })?;
    facts.refuses(program).then(|| {
        let attach_type = match program.attach_type {
            AttachType(0) => String::new(),
            other => format!(" with attach type `{other}`"),
        };
        format!(
            "this kernel loads not even an empty `{}` program{attach_type}: it is too old, or built \
             without",
            program.program_type
        )
    })
}

impl Facts for RunningKernel {
    fn version(&self) -> u32 {
        purebpf_plan::TargetKernel::version(self)
    }

    fn has(&self, capability: Capability) -> bool {
        // What cannot be read is not proven to be missing.
        host::has_capability(capability).unwrap_or(true)
    }

    fn memlock(&self) -> Option<u64> {
        host::memlock_limit().ok().map(|(soft, _)| soft)
    }

    fn file(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    fn refuses(&self, program: Program) -> bool {
        let Program {
            program_type,
            attach_type,
            flags,
        } = program;
        let token = self.token().map(AsFd::as_fd);
        probe::refuses_type(token, program_type, attach_type, flags)
    }
}

#[cfg(test)]
mod tests;
