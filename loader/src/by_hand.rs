//! What programs are attached to by hand, for errors that say what is missing.

use purebpf_insn::ProgramType as Type;

/// Types of programs, what they take, and what attaches them there.
const TABLE: &[(&[Type], &str)] = &[
    (&[Type::XDP], "a network device (`attach::Xdp`)"),
    (
        &[Type::SCHED_CLS],
        "a network device (`attach::Tcx`, `attach::Netkit` or `attach::Tc`)",
    ),
    (&[Type::SCHED_ACT], "an action of traffic control (`tc`)"),
    (
        &[
            Type::CGROUP_SKB,
            Type::CGROUP_SOCK,
            Type::CGROUP_DEVICE,
            Type::CGROUP_SOCK_ADDR,
            Type::CGROUP_SYSCTL,
            Type::CGROUP_SOCKOPT,
            Type::SOCK_OPS,
            // Others of this type name their hook.
            Type::LSM,
        ],
        "a cgroup (`attach::Cgroup`)",
    ),
    (
        &[Type::SK_SKB, Type::SK_MSG],
        "a map of sockets (`attach::Sockmap`)",
    ),
    (
        &[Type::FLOW_DISSECTOR, Type::SK_LOOKUP],
        "a network name space (`attach::Netns`)",
    ),
    (
        &[Type::SOCKET_FILTER, Type::SK_REUSEPORT],
        "a socket (`attach::Socket`)",
    ),
    (
        &[Type::NETFILTER],
        "a hook of netfilter (`attach::Netfilter`)",
    ),
    (
        &[Type::LWT_IN, Type::LWT_OUT, Type::LWT_XMIT],
        "a route (`attach::Lwt`)",
    ),
    (&[Type::LWT_SEG6LOCAL], "a segment (`ip route`)"),
    (&[Type::LIRC_MODE2], "an infrared receiver (`attach::Lirc`)"),
    (
        &[Type::KPROBE],
        "a function (`attach::Kprobe`, `attach::Uprobe` and others)",
    ),
    (&[Type::TRACEPOINT], "a tracepoint (`attach::Tracepoint`)"),
    (
        &[Type::RAW_TRACEPOINT, Type::RAW_TRACEPOINT_WRITABLE],
        "a tracepoint (`attach::RawTracepoint`)",
    ),
    (&[Type::PERF_EVENT], "a perf event (`attach::PerfEvent`)"),
    (
        &[Type::TRACING, Type::EXT],
        "a function (`attach::Trace`, `attach::Freplace`)",
    ),
    (
        &[Type::STRUCT_OPS],
        "the map that it is part of (`Object::struct_ops`)",
    ),
    (
        &[Type::SYSCALL],
        "no place, but a call (`Program::test_run`)",
    ),
];

/// What a program of this type takes.
pub(crate) fn takes(program_type: Type) -> &'static str {
    let row = TABLE
        .iter()
        .find(|(types, _)| types.contains(&program_type));
    row.map_or("something else", |(_, takes)| takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_program_takes_something() {
        for program_type in Type::known().filter(|ty| *ty != Type::UNSPEC) {
            assert_ne!(takes(program_type), takes(Type::UNSPEC), "{program_type}");
        }
    }
}
