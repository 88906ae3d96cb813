//! What the verifier's log, or an error number, says about a refusal.

use purebpf_plan::Code;
use purebpf_syscall::{Errno, host};

/// The instruction at which the verifier stopped: the last one that its log shows.
pub(crate) fn stopped_at(log: &str) -> Option<usize> {
    log.lines().rev().find_map(instruction)
}

/// `12: (85) call bpf_x#3` and `12: R0=... ` both are about instruction 12.
fn instruction(line: &str) -> Option<usize> {
    let (number, rest) = line.split_once(": ")?;
    rest.starts_with('(')
        .then(|| number.trim().parse().ok())
        .flatten()
}

/// What is missing at an instruction that the loader itself put out of action.
pub(crate) fn missing(code: &Code, insn: Option<usize>, log: &str) -> Option<String> {
    let insn = insn.filter(|_| log.contains("invalid func unknown#"))?;
    code.poisons
        .iter()
        .find(|poison| poison.insn == insn)
        .map(|poison| poison.why.clone())
}

/// Rights that loading takes, on kernels since 5.8; before, only that of root.
const NEEDED: &[(host::Capability, &str)] = &[
    (host::Capability::Bpf, "CAP_BPF"),
    (host::Capability::Perfmon, "CAP_PERFMON"),
    (host::Capability::NetAdmin, "CAP_NET_ADMIN"),
];

/// What can be done about an error number, where that is certain.
pub(crate) fn hint(errno: Option<Errno>) -> Option<String> {
    if errno != Some(Errno::EPERM) && errno != Some(Errno::EACCES) {
        return None;
    }
    let has = |capability| host::has_capability(capability).unwrap_or(true);
    if !has(host::Capability::SysAdmin) {
        let missing: Vec<_> = NEEDED
            .iter()
            .filter(|(c, _)| !has(*c))
            .map(|(_, name)| *name)
            .collect();
        if !missing.is_empty() {
            return Some(format!(
                "this process lacks {} (run as root)",
                missing.join(", ")
            ));
        }
    }
    let (limit, _) = host::memlock_limit().ok()?;
    let is_charged = host::kernel_version().is_ok_and(|version| version < (5, 11, 0));
    (is_charged && limit != u64::MAX && errno == Some(Errno::EPERM))
        .then(|| format!("RLIMIT_MEMLOCK is {limit} bytes; raise it (ulimit -l unlimited)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_instruction_of_the_log_is_where_it_stopped() {
        let log = "0: R1=ctx() R10=fp0\n; return *value; @ x.c:7\n6: (85) call x#1\n\
                   7: R0=map_value_or_null(id=1)\n7: (79) r0 = *(u64 *)(r0 +0)\n\
                   R0 invalid mem access 'map_value_or_null'\nprocessed 8 insns\n";
        assert_eq!(stopped_at(log), Some(7));
        assert_eq!(stopped_at("func#0 @0\n"), None);
    }
}
