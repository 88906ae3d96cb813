//! The SEC() table: what a section's name says of the programs in it.
//!
//! In libbpf's order, since the first row that matches wins.

use std::borrow::Cow;

use purebpf_insn::{AttachType, ProgramType};

use crate::Error;

/// Which sections a definition is of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// The name is exactly this.
    Exact(Cow<'static, str>),
    /// The name is this, or this, a slash, and anything.
    Prefix(Cow<'static, str>),
    /// Any name that nothing else matches.
    Any,
}

impl Pattern {
    fn matches(&self, section: &str) -> bool {
        match self {
            Self::Exact(name) => section == name,
            Self::Prefix(name) => section
                .strip_prefix(&**name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Any => true,
        }
    }
}

bitflags::bitflags! {
    /// What else a section's definition says.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SectionFlags: u8 {
        /// The expected attach type may be left out on kernels that do not know it.
        const OPTIONAL_ATTACH_TYPE = 1;
        /// The target is a type of the kernel's BTF, named after the first slash.
        const ATTACH_BTF = 1 << 1;
        /// XDP with multi-buffer packets.
        const FRAGS = 1 << 2;
        /// The program may sleep.
        const SLEEPABLE = 1 << 3;
        /// A USDT probe: attached by uprobe.multi where the kernel has it.
        const USDT = 1 << 4;
    }
}

/// What a section's name says of the programs in it: a row of the table, or one that a user adds
/// with [`OpenOptions::section`](crate::OpenOptions::section).
#[doc(alias = "libbpf_register_prog_handler")]
#[derive(Clone, Debug)]
pub struct SectionDefinition {
    pattern: Pattern,
    /// Type of its programs.
    pub program_type: ProgramType,
    /// Their expected attach type; [`AttachType`] 0 where there is none.
    pub attach_type: AttachType,
    /// What else it says.
    pub flags: SectionFlags,
}

impl SectionDefinition {
    const fn new(pattern: Pattern, program_type: ProgramType) -> Self {
        Self {
            pattern,
            program_type,
            attach_type: AttachType(0),
            flags: SectionFlags::empty(),
        }
    }

    /// A definition of the sections with this name, and no other.
    #[must_use]
    pub fn exact(name: impl Into<String>, program_type: ProgramType) -> Self {
        Self::new(Pattern::Exact(Cow::Owned(name.into())), program_type)
    }

    /// A definition of the sections with this name, alone or with a slash and anything behind it.
    #[must_use]
    pub fn prefixed(name: impl Into<String>, program_type: ProgramType) -> Self {
        Self::new(Pattern::Prefix(Cow::Owned(name.into())), program_type)
    }

    /// A definition of the sections that no other definition is of.
    #[must_use]
    pub const fn fallback(program_type: ProgramType) -> Self {
        Self::new(Pattern::Any, program_type)
    }

    /// Sets the expected attach type.
    #[must_use]
    pub fn attach_type(mut self, attach_type: AttachType) -> Self {
        self.attach_type = attach_type;
        self
    }

    /// Sets what else it says.
    #[must_use]
    pub fn flags(mut self, flags: SectionFlags) -> Self {
        self.flags = flags;
        self
    }

    /// The part of the section name that it matches, without what follows; empty for any name.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match &self.pattern {
            Pattern::Exact(name) | Pattern::Prefix(name) => name,
            Pattern::Any => "",
        }
    }
}

/// The definition of a section among those of the user, those of the table and those of the user
/// for any other section, in this order.
///
/// # Source
/// libbpf `find_sec_def`.
pub(crate) fn find<'a>(
    own: &'a [SectionDefinition],
    section: &str,
) -> Option<&'a SectionDefinition> {
    let mut named = own.iter().filter(|row| row.pattern != Pattern::Any);
    named
        .find(|row| row.pattern.matches(section))
        .or_else(|| section_definition(section))
        .or_else(|| own.iter().find(|row| row.pattern == Pattern::Any))
}

/// The definition of a section in the table, without its leading `?`.
#[must_use]
pub fn section_definition(section: &str) -> Option<&'static SectionDefinition> {
    TABLE.iter().find(|row| row.pattern.matches(section))
}

/// The program type and expected attach type that a section name stands for.
///
/// # Errors
/// [`Error::UnknownSection`] with the nearest name that is known.
#[doc(alias = "libbpf_prog_type_by_name")]
pub fn program_type_of(section: &str) -> Result<(ProgramType, AttachType), Error> {
    let section = section.strip_prefix('?').unwrap_or(section);
    section_definition(section)
        .map(|row| (row.program_type, row.attach_type))
        .ok_or_else(|| Error::UnknownSection {
            section: section.to_owned(),
            nearest: nearest_section(section),
        })
}

/// The known section name nearest to an unknown one.
pub(crate) fn nearest_section(section: &str) -> &'static str {
    let stem = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let wanted = stem(section);
    TABLE
        .iter()
        .map(|row| row.prefix())
        .min_by_key(|known| distance(&wanted, &stem(known)))
        .unwrap_or_default()
}

/// Edit distance, bounded by the lengths, which are those of section names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut left = i.saturating_add(1);
        let mut diagonal = i;
        for (slot, y) in row.iter_mut().skip(1).zip(&b) {
            let up = *slot;
            let change = diagonal.saturating_add(usize::from(x != *y));
            left = change.min(up.saturating_add(1)).min(left.saturating_add(1));
            *slot = left;
            diagonal = up;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

macro_rules! table {
    ($($pattern:ident $name:literal $ty:ident $attach:tt $($flag:ident)*;)*) => {
        &[$(SectionDefinition {
            pattern: Pattern::$pattern(Cow::Borrowed($name)),
            program_type: ProgramType::$ty,
            attach_type: table!(@attach $attach),
            flags: SectionFlags::empty()$(.union(SectionFlags::$flag))*,
        },)*]
    };
    (@attach 0) => { AttachType(0) };
    (@attach $attach:ident) => { AttachType::$attach };
}

static TABLE: &[SectionDefinition] = table! {
    Exact "socket" SOCKET_FILTER 0;
    Exact "sk_reuseport/migrate" SK_REUSEPORT SK_REUSEPORT_SELECT_OR_MIGRATE;
    Exact "sk_reuseport" SK_REUSEPORT SK_REUSEPORT_SELECT;
    Prefix "kprobe" KPROBE 0;
    Prefix "uprobe" KPROBE 0;
    Prefix "uprobe.s" KPROBE 0 SLEEPABLE;
    Prefix "kretprobe" KPROBE 0;
    Prefix "uretprobe" KPROBE 0;
    Prefix "uretprobe.s" KPROBE 0 SLEEPABLE;
    Prefix "kprobe.multi" KPROBE TRACE_KPROBE_MULTI;
    Prefix "kretprobe.multi" KPROBE TRACE_KPROBE_MULTI;
    Prefix "kprobe.session" KPROBE TRACE_KPROBE_SESSION;
    Prefix "uprobe.multi" KPROBE TRACE_UPROBE_MULTI;
    Prefix "uretprobe.multi" KPROBE TRACE_UPROBE_MULTI;
    Prefix "uprobe.session" KPROBE TRACE_UPROBE_SESSION;
    Prefix "uprobe.multi.s" KPROBE TRACE_UPROBE_MULTI SLEEPABLE;
    Prefix "uretprobe.multi.s" KPROBE TRACE_UPROBE_MULTI SLEEPABLE;
    Prefix "uprobe.session.s" KPROBE TRACE_UPROBE_SESSION SLEEPABLE;
    Prefix "ksyscall" KPROBE 0;
    Prefix "kretsyscall" KPROBE 0;
    Prefix "usdt" KPROBE 0 USDT;
    Prefix "usdt.s" KPROBE 0 USDT SLEEPABLE;
    Exact "tc/ingress" SCHED_CLS TCX_INGRESS;
    Exact "tc/egress" SCHED_CLS TCX_EGRESS;
    Exact "tcx/ingress" SCHED_CLS TCX_INGRESS;
    Exact "tcx/egress" SCHED_CLS TCX_EGRESS;
    Exact "tc" SCHED_CLS 0;
    Exact "classifier" SCHED_CLS 0;
    Exact "action" SCHED_ACT 0;
    Exact "netkit/primary" SCHED_CLS NETKIT_PRIMARY;
    Exact "netkit/peer" SCHED_CLS NETKIT_PEER;
    Prefix "tracepoint" TRACEPOINT 0;
    Prefix "tp" TRACEPOINT 0;
    Prefix "tracepoint.s" TRACEPOINT 0 SLEEPABLE;
    Prefix "tp.s" TRACEPOINT 0 SLEEPABLE;
    Prefix "raw_tracepoint" RAW_TRACEPOINT 0;
    Prefix "raw_tp" RAW_TRACEPOINT 0;
    Prefix "raw_tracepoint.s" RAW_TRACEPOINT 0 SLEEPABLE;
    Prefix "raw_tp.s" RAW_TRACEPOINT 0 SLEEPABLE;
    Prefix "raw_tracepoint.w" RAW_TRACEPOINT_WRITABLE 0;
    Prefix "raw_tp.w" RAW_TRACEPOINT_WRITABLE 0;
    Prefix "tp_btf" TRACING TRACE_RAW_TP ATTACH_BTF;
    Prefix "tp_btf.s" TRACING TRACE_RAW_TP ATTACH_BTF SLEEPABLE;
    Prefix "fentry" TRACING TRACE_FENTRY ATTACH_BTF;
    Prefix "fmod_ret" TRACING MODIFY_RETURN ATTACH_BTF;
    Prefix "fexit" TRACING TRACE_FEXIT ATTACH_BTF;
    Prefix "fentry.s" TRACING TRACE_FENTRY ATTACH_BTF SLEEPABLE;
    Prefix "fmod_ret.s" TRACING MODIFY_RETURN ATTACH_BTF SLEEPABLE;
    Prefix "fexit.s" TRACING TRACE_FEXIT ATTACH_BTF SLEEPABLE;
    Prefix "fsession" TRACING TRACE_FSESSION ATTACH_BTF;
    Prefix "fsession.s" TRACING TRACE_FSESSION ATTACH_BTF SLEEPABLE;
    Prefix "fsession.multi" TRACING TRACE_FSESSION_MULTI;
    Prefix "fsession.multi.s" TRACING TRACE_FSESSION_MULTI SLEEPABLE;
    Prefix "fentry.multi" TRACING TRACE_FENTRY_MULTI;
    Prefix "fexit.multi" TRACING TRACE_FEXIT_MULTI;
    Prefix "fentry.multi.s" TRACING TRACE_FENTRY_MULTI SLEEPABLE;
    Prefix "fexit.multi.s" TRACING TRACE_FEXIT_MULTI SLEEPABLE;
    Prefix "freplace" EXT 0 ATTACH_BTF;
    Prefix "lsm" LSM LSM_MAC ATTACH_BTF;
    Prefix "lsm.s" LSM LSM_MAC ATTACH_BTF SLEEPABLE;
    Prefix "lsm_cgroup" LSM LSM_CGROUP ATTACH_BTF;
    Prefix "iter" TRACING TRACE_ITER ATTACH_BTF;
    Prefix "iter.s" TRACING TRACE_ITER ATTACH_BTF SLEEPABLE;
    Exact "syscall" SYSCALL 0 SLEEPABLE;
    Exact "xdp.frags/devmap" XDP XDP_DEVMAP FRAGS;
    Exact "xdp/devmap" XDP XDP_DEVMAP;
    Exact "xdp.frags/cpumap" XDP XDP_CPUMAP FRAGS;
    Exact "xdp/cpumap" XDP XDP_CPUMAP;
    Exact "xdp.frags" XDP XDP FRAGS;
    Exact "xdp" XDP XDP OPTIONAL_ATTACH_TYPE;
    Exact "perf_event" PERF_EVENT 0;
    Exact "lwt_in" LWT_IN 0;
    Exact "lwt_out" LWT_OUT 0;
    Exact "lwt_xmit" LWT_XMIT 0;
    Exact "lwt_seg6local" LWT_SEG6LOCAL 0;
    Exact "sockops" SOCK_OPS CGROUP_SOCK_OPS OPTIONAL_ATTACH_TYPE;
    Exact "sk_skb/stream_parser" SK_SKB SK_SKB_STREAM_PARSER OPTIONAL_ATTACH_TYPE;
    Exact "sk_skb/stream_verdict" SK_SKB SK_SKB_STREAM_VERDICT OPTIONAL_ATTACH_TYPE;
    Exact "sk_skb/verdict" SK_SKB SK_SKB_VERDICT OPTIONAL_ATTACH_TYPE;
    Exact "sk_skb" SK_SKB 0;
    Exact "sk_msg" SK_MSG SK_MSG_VERDICT OPTIONAL_ATTACH_TYPE;
    Exact "lirc_mode2" LIRC_MODE2 LIRC_MODE2 OPTIONAL_ATTACH_TYPE;
    Exact "flow_dissector" FLOW_DISSECTOR FLOW_DISSECTOR OPTIONAL_ATTACH_TYPE;
    Exact "cgroup_skb/ingress" CGROUP_SKB CGROUP_INET_INGRESS OPTIONAL_ATTACH_TYPE;
    Exact "cgroup_skb/egress" CGROUP_SKB CGROUP_INET_EGRESS OPTIONAL_ATTACH_TYPE;
    Exact "cgroup/skb" CGROUP_SKB 0;
    Exact "cgroup/sock_create" CGROUP_SOCK CGROUP_INET_SOCK_CREATE;
    Exact "cgroup/sock_release" CGROUP_SOCK CGROUP_INET_SOCK_RELEASE;
    Exact "cgroup/sock" CGROUP_SOCK CGROUP_INET_SOCK_CREATE OPTIONAL_ATTACH_TYPE;
    Exact "cgroup/post_bind4" CGROUP_SOCK CGROUP_INET4_POST_BIND;
    Exact "cgroup/post_bind6" CGROUP_SOCK CGROUP_INET6_POST_BIND;
    Exact "cgroup/bind4" CGROUP_SOCK_ADDR CGROUP_INET4_BIND;
    Exact "cgroup/bind6" CGROUP_SOCK_ADDR CGROUP_INET6_BIND;
    Exact "cgroup/connect4" CGROUP_SOCK_ADDR CGROUP_INET4_CONNECT;
    Exact "cgroup/connect6" CGROUP_SOCK_ADDR CGROUP_INET6_CONNECT;
    Exact "cgroup/connect_unix" CGROUP_SOCK_ADDR CGROUP_UNIX_CONNECT;
    Exact "cgroup/sendmsg4" CGROUP_SOCK_ADDR CGROUP_UDP4_SENDMSG;
    Exact "cgroup/sendmsg6" CGROUP_SOCK_ADDR CGROUP_UDP6_SENDMSG;
    Exact "cgroup/sendmsg_unix" CGROUP_SOCK_ADDR CGROUP_UNIX_SENDMSG;
    Exact "cgroup/recvmsg4" CGROUP_SOCK_ADDR CGROUP_UDP4_RECVMSG;
    Exact "cgroup/recvmsg6" CGROUP_SOCK_ADDR CGROUP_UDP6_RECVMSG;
    Exact "cgroup/recvmsg_unix" CGROUP_SOCK_ADDR CGROUP_UNIX_RECVMSG;
    Exact "cgroup/getpeername4" CGROUP_SOCK_ADDR CGROUP_INET4_GETPEERNAME;
    Exact "cgroup/getpeername6" CGROUP_SOCK_ADDR CGROUP_INET6_GETPEERNAME;
    Exact "cgroup/getpeername_unix" CGROUP_SOCK_ADDR CGROUP_UNIX_GETPEERNAME;
    Exact "cgroup/getsockname4" CGROUP_SOCK_ADDR CGROUP_INET4_GETSOCKNAME;
    Exact "cgroup/getsockname6" CGROUP_SOCK_ADDR CGROUP_INET6_GETSOCKNAME;
    Exact "cgroup/getsockname_unix" CGROUP_SOCK_ADDR CGROUP_UNIX_GETSOCKNAME;
    Exact "cgroup/sysctl" CGROUP_SYSCTL CGROUP_SYSCTL;
    Exact "cgroup/getsockopt" CGROUP_SOCKOPT CGROUP_GETSOCKOPT;
    Exact "cgroup/setsockopt" CGROUP_SOCKOPT CGROUP_SETSOCKOPT;
    Exact "cgroup/dev" CGROUP_DEVICE CGROUP_DEVICE OPTIONAL_ATTACH_TYPE;
    Prefix "struct_ops" STRUCT_OPS 0;
    Prefix "struct_ops.s" STRUCT_OPS 0 SLEEPABLE;
    Exact "sk_lookup" SK_LOOKUP SK_LOOKUP;
    Exact "netfilter" NETFILTER NETFILTER;
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_row_wins() {
        let row = |name| section_definition(name).unwrap();
        assert_eq!(row("kprobe/do_unlinkat").program_type, ProgramType::KPROBE);
        assert_eq!(
            row("kprobe.multi/x*").attach_type,
            AttachType::TRACE_KPROBE_MULTI
        );
        assert_eq!(
            row("tp_btf/sched_switch").attach_type,
            AttachType::TRACE_RAW_TP
        );
        assert!(row("fentry.s/x").flags.contains(SectionFlags::SLEEPABLE));
        assert!(row("xdp.frags").flags.contains(SectionFlags::FRAGS));
        assert_eq!(
            row("cgroup_skb/egress").attach_type,
            AttachType::CGROUP_INET_EGRESS
        );
    }

    #[test]
    fn an_exact_row_takes_no_extras() {
        assert!(section_definition("perf_event/x").is_none());
        assert!(section_definition("kprobes").is_none());
        assert!(section_definition("xdp/unknown").is_none());
    }

    #[test]
    fn every_row_has_a_program_in_the_fixture() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/bpf/sections.bpf.o");
        let spec = crate::ObjectSpec::open(file).unwrap();
        let rows = spec.programs().map(|program| {
            let row = section_definition(&program.section).unwrap();
            (row.prefix(), program.program_type)
        });
        let table = TABLE.iter().map(|row| (row.prefix(), row.program_type));
        assert!(rows.eq(table));
    }

    #[test]
    fn an_unknown_section_suggests_the_nearest() {
        let error = program_type_of("kprob/do_unlinkat").unwrap_err();
        assert!(error.to_string().contains("`kprobe`"), "{error}");
        assert_eq!(nearest_section("tracepiont/a/b"), "tracepoint");
    }
}
