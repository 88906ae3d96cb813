//! Network name spaces: flow dissection and socket look-up.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::create::{NewLink, attach_type};
use super::direct::{Direct, Point};
use super::query::{self, Attached, Tells};
use crate::{Error, Link, Program};

const KIND: &str = "network name space";

/// A network name space (5.8), for programs of types `flow_dissector` and `sk_lookup`.
#[doc(alias = "bpf_program__attach_netns")]
#[derive(Clone, Debug)]
pub struct Netns {
    path: PathBuf,
    attach_type: Option<AttachType>,
    by_link: bool,
}

impl Netns {
    /// The name space that `path` stands for: `/run/netns/NAME`, `/proc/PID/ns/net`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            attach_type: None,
            by_link: true,
        }
    }

    /// That of this thread.
    #[must_use]
    pub fn current() -> Self {
        Self::new("/proc/thread-self/ns/net")
    }

    /// How, if not as the program was loaded to be attached.
    #[must_use]
    pub const fn attach_type(mut self, attach_type: AttachType) -> Self {
        self.attach_type = Some(attach_type);
        self
    }

    /// By `BPF_PROG_ATTACH` (4.20), which is for flow dissectors alone: [`Link::disconnect`] lets the
    /// program stay, as long as the name space is there.
    #[doc(alias = "bpf_prog_attach")]
    #[must_use]
    pub fn without_link(self) -> Self {
        Self {
            by_link: false,
            ..self
        }
    }

    /// Detaches a program that was attached without a link, whoever did it.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, and what the kernel says.
    #[doc(alias = "bpf_prog_detach2")]
    pub fn detach(&self, program: &Program) -> Result<(), Error> {
        self.direct(program)?.detach(program)
    }

    /// The programs that are attached, as [`Self::attach_type`] says, which has to be set.
    ///
    /// # Errors
    /// No attach type, and what the kernel says.
    #[doc(alias = "bpf_prog_query")]
    pub fn query(&self) -> Result<Attached, Error> {
        let how = query::needed(self, self.attach_type)?;
        let space = self.open()?;
        let point = AttachPoint::Fd(space.as_fd());
        query::query(self, point, how, Tells::Programs)
    }

    fn open(&self) -> Result<File, Error> {
        File::open(&self.path).map_err(Error::open(KIND, &self.path, false))
    }

    fn direct(&self, program: &Program) -> Result<Direct, Error> {
        let space = Arc::new(self.open()?.into());
        let how = attach_type(program, self.attach_type)?;
        Ok(Direct::new(Point::Device(0, space), how))
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND} {}", self.path.display())
    }
}

impl super::Target for Netns {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        if !self.by_link {
            return self.direct(program)?.attach(program, None, None);
        }
        let space = self.open()?;
        NewLink {
            target: AttachPoint::Fd(space.as_fd()),
            attach_type: attach_type(program, self.attach_type)?,
            flags: 0,
            options: LinkOptions::None,
            since: ((5, 8, 0), "network name space link (5.8)"),
        }
        .create(program)
    }
}
