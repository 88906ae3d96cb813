//! Netfilter hooks.

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::create::NewLink;
use crate::{Error, Link, Program};

/// A hook of netfilter (6.4), for programs of type netfilter.
#[doc(alias = "bpf_program__attach_netfilter")]
#[derive(Clone, Copy, Debug)]
pub struct Netfilter {
    family: u32,
    hook: u32,
    priority: i32,
    flags: u32,
}

impl Netfilter {
    /// The hook by protocol family (`NFPROTO_*`: 2 is IPv4, 10 IPv6) and number (`NF_INET_*`: 0
    /// before routing, 1 in, 2 forward, 3 out, 4 after routing).
    #[must_use]
    pub const fn new(family: u32, hook: u32) -> Self {
        Self {
            family,
            hook,
            priority: 0,
            flags: 0,
        }
    }

    /// The place among the hooks, ascending; the smallest and the largest number are taken.
    #[must_use]
    pub const fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Packets are put together from their fragments first (6.6).
    #[must_use]
    pub const fn defragment(mut self) -> Self {
        self.flags |= 1;
        self
    }
}

impl super::Target for Netfilter {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        NewLink {
            target: AttachPoint::None,
            attach_type: AttachType::NETFILTER,
            flags: 0,
            options: LinkOptions::Netfilter {
                family: self.family,
                hook: self.hook,
                priority: self.priority,
                flags: self.flags,
            },
            since: ((6, 4, 0), "netfilter link (6.4)"),
        }
        .create(program)
    }
}
