//! What tests of attaching share: that a program runs as long as it is attached, and what the kernel
//! tells of links on perf events.

use purebpf_handles::attach::{ProbeMode, Target};
use purebpf_handles::{Errno, Link, LinkDetails, Map, Program};
use purebpf_insn::LinkType;

use super::{count, fail, since};

/// Checks that the program runs when `hit` is called as long as it is attached, and not after.
pub(crate) fn runs_while_attached(
    program: &Program,
    target: impl Target,
    map: &Map,
    hit: impl Fn(),
) {
    let before = count(map);
    hit();
    assert_eq!(count(map), before, "it runs before it is attached");
    let link = program.attach(target).unwrap_or_else(|error| fail(&error));
    hit();
    let seen = count(map);
    assert_ne!(seen, before, "it does not run");
    let clone = link.clone();
    drop(link);
    hit();
    assert!(
        count(map) > seen,
        "it stops though a clone of the link is there"
    );
    clone.detach().unwrap_or_else(|error| fail(&error));
    clone.detach().unwrap();
    let last = count(map);
    hit();
    assert_eq!(count(map), last, "it runs though it is detached");
}

/// How a probe can be made by hand; by a link only since 5.15.
pub(crate) fn probe_modes() -> &'static [ProbeMode] {
    match since(5, 15) {
        true => &[ProbeMode::Legacy, ProbeMode::Perf, ProbeMode::Link],
        false => &[ProbeMode::Legacy, ProbeMode::Perf],
    }
}

/// What the kernel tells of a link on a perf event, if it does: before 5.15 the event itself is the
/// link and no BPF object, before 6.6 there are no details.
pub(crate) fn perf_details(link: &Link) -> Option<LinkDetails> {
    if !since(5, 15) {
        assert_eq!(link.info().unwrap_err().errno(), Some(Errno::EINVAL));
        return None;
    }
    let info = link.info().unwrap();
    assert_eq!(info.link_type, LinkType::PERF_EVENT);
    assert_eq!(info.program_id, link.program().unwrap().id().0);
    let details = (info.details != LinkDetails::Other).then_some(info.details);
    assert_eq!(details.is_some(), since(6, 6), "{details:?}");
    details
}

/// The cookie that the kernel is expected to tell of a link on a perf event (6.9) that has this one.
pub(crate) fn told(cookie: u64) -> u64 {
    if since(6, 9) { cookie } else { 0 }
}
