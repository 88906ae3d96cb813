//! Which failures may go unnoticed, and what the others have to say.

use nix::errno::Errno;

pub(crate) const ERRORS: [Errno; 6] = [
    Errno::EPERM,
    Errno::ENOMEM,
    Errno::EAGAIN,
    Errno::EINTR,
    Errno::EMFILE,
    Errno::ENOSPC,
];

/// Errors that are asked again for.
const INTERRUPTIONS: &[Errno] = &[Errno::EAGAIN, Errno::EINTR];

/// Every error.
const ANY: &[Errno] = &ERRORS;

/// Calls that may fail without anything failing: their description, or how it begins if this ends in a
/// space, slash or dash; with which errors; and why that is right.
const SWALLOWED: &[(&str, &[Errno], &str)] = &[
    ("bpf ", INTERRUPTIONS, "it is asked again"),
    ("openat ", &[Errno::EINTR], "it is asked again"),
    ("read ", &[Errno::EINTR], "it is asked again"),
    ("openat /sys/fs/bpf", ANY, NO_TOKEN),
    ("bpf TOKEN_CREATE", ANY, NO_TOKEN),
    ("openat /proc/version_signature", ANY, "Ubuntu alone has it"),
    (
        "openat /boot/config-",
        ANY,
        "/proc/config.gz has the same settings",
    ),
    (
        "openat /sys/bus/event_source/devices/",
        ANY,
        "a probe is made by its name in tracefs then",
    ),
    (
        "read /sys/devices/uprobe/",
        ANY,
        "a probe is made by its name in tracefs then",
    ),
    ("pread64 ", &[Errno::EINTR], "it is asked again"),
    (
        // uprobe(2)
        "call 336",
        ANY,
        "static probes are hit by a trap then, which is slower and no other",
    ),
    ("uname", ANY, "the version is for what cannot be probed"),
    ("statx ", ANY, "a size is a hint, of how much room to make"),
    ("bpf BTF_LOAD", ANY, PROBE_OR_LOG),
    ("bpf MAP_CREATE ", ANY, PROBE_OR_LOG),
    ("bpf PROG_LOAD ", ANY, PROBE_OR_LOG),
    ("bpf PROG_BIND_MAP", ANY, PROBE),
    ("bpf OBJ_GET_INFO_BY_FD anon_inode:btf", ANY, PROBE),
    ("bpf LINK_CREATE no fd", ANY, PROBE),
    ("bpf LINK_CREATE /dev/null", ANY, PROBE),
    (
        "bpf BTF_GET_NEXT_ID",
        &[Errno::EPERM],
        "no right to see BTF of modules: there is none",
    ),
    (
        "fstatfs /sys/kernel/btf/vmlinux",
        ANY,
        "read instead of mapped",
    ),
    (
        "mmap /sys/kernel/btf/vmlinux",
        ANY,
        "read instead of mapped",
    ),
    (
        "bpf MAP_DELETE_ELEM",
        ANY,
        "dropping a link detaches a second time",
    ),
    (
        "sendto ",
        ANY,
        "asked again: what is attached has to come off",
    ),
    (
        "recvfrom ",
        ANY,
        "asked again: it has been done, only the answer is missing",
    ),
    (
        "setsockopt ",
        ANY,
        "the kernel gives reasons without words then",
    ),
    (
        "readlink /proc/thread-self/fd/",
        ANY,
        "calls on an fd show what it is of",
    ),
    ("openat PINS", ANY, LEFT_OVERS),
    ("newfstatat PINS", ANY, LEFT_OVERS),
    ("getdents64 PINS", ANY, LEFT_OVERS),
];

const NO_TOKEN: &str = "where a right is missing for want of a token, the load shows it";
const PROBE: &str = "a feature that cannot be probed is there from its version on";
const PROBE_OR_LOG: &str = "as other probes; and what is refused is made once more for its log";
const LEFT_OVERS: &str = "what killed processes left beside a pin is removed by a later one";

/// As above, and what is there in the end differs from what would be there.
const DIFFERING: &[(&str, &[Errno], &str)] = &[(
    "bpf PROG_BIND_MAP",
    ANY,
    "the constants are for whoever looks at the program",
)];

/// Whether a call may fail with this error and nothing else fails; `differs` if what is there in the end
/// is not what would be.
pub(crate) fn may_go_unnoticed(call: &str, error: Errno, differs: bool) -> bool {
    let known = if differs { DIFFERING } else { SWALLOWED };
    known.iter().any(|(start, errors, _)| {
        let is_meant = match start.ends_with([' ', '/', '-']) {
            true => call.starts_with(start),
            false => call == *start,
        };
        is_meant && errors.contains(&error)
    })
}

/// Whether a message says what was to be done, and to what: more than the call and its error.
pub(crate) fn names_the_step(text: &str) -> bool {
    let about = text.rsplit_once(": ").map_or("", |(about, _)| about);
    about.contains(' ') && (about.contains(['`', '/']) || about.contains("cannot "))
}
