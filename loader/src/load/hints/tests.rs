//! Hints of machines and processes that are data.

use super::*;

/// Root on a new kernel, unless said otherwise.
struct Made {
    version: u32,
    capabilities: &'static [Capability],
    memlock: u64,
    files: &'static [(&'static str, &'static str)],
    refuses: bool,
}

const ROOT: Made = Made {
    version: 0x06_0c_00,
    capabilities: &[
        Capability::SysAdmin,
        Capability::Bpf,
        Capability::Perfmon,
        Capability::NetAdmin,
    ],
    memlock: 65_536,
    files: &[(UID_MAP, "         0          0 4294967295\n")],
    refuses: false,
};

impl Facts for Made {
    fn version(&self) -> u32 {
        self.version
    }

    fn has(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }

    fn memlock(&self) -> Option<u64> {
        Some(self.memlock)
    }

    fn file(&self, path: &str) -> Option<String> {
        let file = self.files.iter().find(|(known, _)| *known == path);
        file.map(|(_, text)| (*text).to_owned())
    }

    fn refuses(&self, _: Program) -> bool {
        self.refuses
    }
}

fn refusal(program_type: ProgramType, errno: Errno, reason: Option<&str>) -> Refusal<'_> {
    Refusal {
        errno,
        program: Some(Program {
            program_type,
            attach_type: AttachType(0),
            flags: ProgramFlags::empty(),
        }),
        reason,
    }
}

fn denied(facts: &Made, program_type: ProgramType) -> String {
    first(facts, &refusal(program_type, Errno::EPERM, None)).unwrap_or_default()
}

#[test]
fn the_rights_that_this_type_of_program_takes_are_named() {
    let nobody = Made {
        capabilities: &[],
        ..ROOT
    };
    let lacks = |program_type| denied(&nobody, program_type);
    assert_eq!(
        lacks(ProgramType::KPROBE),
        "this process lacks CAP_BPF, CAP_PERFMON (run as root)"
    );
    assert_eq!(
        lacks(ProgramType::XDP),
        "this process lacks CAP_BPF, CAP_NET_ADMIN (run as root)"
    );
    let old = Made {
        version: 0x05_04_00,
        ..nobody
    };
    assert_eq!(
        denied(&old, ProgramType::XDP),
        "this process lacks CAP_SYS_ADMIN (run as root)"
    );
    let enough = Made {
        capabilities: &[Capability::Bpf, Capability::Perfmon],
        ..ROOT
    };
    assert_eq!(denied(&enough, ProgramType::KPROBE), "");
    // What the verifier refused is no matter of rights.
    let spoken = refusal(ProgramType::KPROBE, Errno::EACCES, Some("R0 !read_ok"));
    assert_eq!(first(&old, &spoken), None);
}

#[test]
fn programs_for_all_depend_on_a_setting() {
    let on = |setting| Made {
        capabilities: &[],
        files: setting,
        ..ROOT
    };
    let disabled = on(&[(UNPRIVILEGED, "2\n")]);
    assert_eq!(
        denied(&disabled, ProgramType::SOCKET_FILTER),
        "this process lacks CAP_BPF (run as root); kernel.unprivileged_bpf_disabled is 2"
    );
    let enabled = on(&[(UNPRIVILEGED, "0\n")]);
    assert_eq!(denied(&enabled, ProgramType::SOCKET_FILTER), "");
    assert_ne!(denied(&enabled, ProgramType::XDP), "");
}

#[test]
fn rights_of_a_user_name_space_do_not_count() {
    let inside = Made {
        files: &[(UID_MAP, "0 1000 1\n")],
        ..ROOT
    };
    assert!(denied(&inside, ProgramType::XDP).contains("a user name space"));
    assert_eq!(denied(&ROOT, ProgramType::XDP), "");
}

#[test]
fn the_limit_of_locked_memory_matters_on_old_kernels_only() {
    let old = Made {
        version: 0x05_0a_00,
        ..ROOT
    };
    assert_eq!(
        denied(&old, ProgramType::XDP),
        "RLIMIT_MEMLOCK is 65536 bytes; raise it (ulimit -l unlimited)"
    );
    let unlimited = Made {
        memlock: u64::MAX,
        ..old
    };
    assert_eq!(denied(&unlimited, ProgramType::XDP), "");
}

#[test]
fn a_kernel_that_is_locked_down_is_named_for_the_helpers_that_it_takes() {
    let locked = |mode| Made {
        files: mode,
        ..ROOT
    };
    let hint = |facts: &Made, reason| {
        let refusal = refusal(ProgramType::KPROBE, Errno::EINVAL, Some(reason));
        first(facts, &refusal).unwrap_or_default()
    };
    let integrity = locked(&[(LOCKDOWN, "none [integrity] confidentiality\n")]);
    let write = "program of this type cannot use helper bpf_probe_write_user#36";
    assert_eq!(
        hint(&integrity, write),
        "the kernel is locked down (integrity), which takes bpf_probe_write_user away"
    );
    let read = "unknown func bpf_probe_read_kernel#113";
    assert_eq!(hint(&integrity, read), "");
    let all = locked(&[(LOCKDOWN, "none integrity [confidentiality]\n")]);
    assert!(hint(&all, read).contains("(confidentiality)"));
    let none = locked(&[(LOCKDOWN, "[none] integrity confidentiality\n")]);
    assert_eq!(hint(&none, write), "");
    assert_eq!(hint(&all, "unknown func bpf_redirect#23"), "");
}

#[test]
fn a_type_is_missing_only_if_an_empty_program_is_refused_too() {
    let without = Made {
        refuses: true,
        ..ROOT
    };
    let hint = |facts: &Made, program_type| {
        first(facts, &refusal(program_type, Errno::EINVAL, None)).unwrap_or_default()
    };
    assert!(hint(&without, ProgramType::LIRC_MODE2).contains("an empty `lirc_mode2` program:"));
    assert_eq!(hint(&ROOT, ProgramType::LIRC_MODE2), "");
    // These need a target, which an empty one lacks.
    assert_eq!(hint(&without, ProgramType::LSM), "");
}

#[test]
fn perf_events_need_a_capability_or_more() {
    let denied = |errno| purebpf_handles::Error::Call {
        object: "tracepoint".into(),
        operation: "open its perf event",
        source: purebpf_handles::CallError::from_raw("perf_event_open", errno as i32),
    };
    let hint = |capabilities, errno| {
        let facts = Made {
            capabilities,
            ..ROOT
        };
        attach(&facts, &denied(errno)).unwrap_or_default()
    };
    assert!(hint(&[Capability::Bpf], Errno::EACCES).contains("lacks CAP_PERFMON"));
    assert!(hint(&[Capability::Perfmon], Errno::EACCES).contains("perf_event_paranoid"));
    assert_eq!(hint(&[Capability::Perfmon], Errno::EINVAL), "");
    assert_eq!(hint(ROOT.capabilities, Errno::EACCES), "");
}
