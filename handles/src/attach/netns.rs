//! Network name spaces: flow dissection and socket look-up.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::create::{NewLink, attach_type};
use crate::{Error, Link, Program};

/// A network name space (5.8), for programs of types `flow_dissector` and `sk_lookup`.
#[doc(alias = "bpf_program__attach_netns")]
#[derive(Clone, Debug)]
pub struct Netns {
    path: PathBuf,
    attach_type: Option<AttachType>,
}

impl Netns {
    /// The name space that `path` stands for: `/run/netns/NAME`, `/proc/PID/ns/net`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            attach_type: None,
        }
    }

    /// That of this process.
    #[must_use]
    pub fn current() -> Self {
        Self::new("/proc/self/ns/net")
    }

    /// How, if not as the program was loaded to be attached.
    #[must_use]
    pub const fn attach_type(mut self, attach_type: AttachType) -> Self {
        self.attach_type = Some(attach_type);
        self
    }
}

impl super::Target for Netns {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let failed = Error::file("open network name space", &self.path);
        let netns = File::open(&self.path).map_err(failed)?;
        NewLink {
            target: AttachPoint::Fd(netns.as_fd()),
            attach_type: attach_type(program, self.attach_type)?,
            flags: 0,
            options: LinkOptions::None,
            since: ((5, 8, 0), "network name space link (5.8)"),
        }
        .create(program)
    }
}
