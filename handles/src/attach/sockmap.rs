//! Sockmaps: what arrives at, or is sent by, the sockets in a map.

use std::os::fd::AsFd;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::create::{NewLink, attach_type};
use crate::{Error, Link, Map, Program};

/// A map of type sockmap or sockhash (by a link, 6.10), for programs of types `sk_skb` and `sk_msg`.
#[doc(alias = "bpf_program__attach_sockmap")]
#[derive(Clone, Debug)]
pub struct Sockmap {
    map: Map,
    attach_type: Option<AttachType>,
}

impl Sockmap {
    /// The sockets of this map.
    #[must_use]
    pub fn new(map: &Map) -> Self {
        Self {
            map: map.clone(),
            attach_type: None,
        }
    }

    /// How, if not as the program was loaded to be attached.
    #[must_use]
    pub const fn attach_type(mut self, attach_type: AttachType) -> Self {
        self.attach_type = Some(attach_type);
        self
    }
}

impl super::Target for Sockmap {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        NewLink {
            target: AttachPoint::Fd(self.map.as_fd()),
            attach_type: attach_type(program, self.attach_type)?,
            flags: 0,
            options: LinkOptions::None,
            since: ((6, 10, 0), "sockmap link (6.10)"),
        }
        .create(program)
    }
}
