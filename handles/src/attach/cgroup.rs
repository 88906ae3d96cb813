//! Cgroups: sockets, packets, devices and settings of a group of processes.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::Place;
use super::create::{NewLink, attach_type};
use crate::{Error, Link, Program};

/// A cgroup of version 2 (by a link, 5.7), for the programs whose types begin with `cgroup`, for
/// `sock_ops`, and for `lsm` ones loaded for a cgroup (6.0).
#[doc(alias = "bpf_program__attach_cgroup_opts")]
#[derive(Clone, Debug)]
pub struct Cgroup {
    directory: Directory,
    attach_type: Option<AttachType>,
    place: Option<Place>,
}

#[derive(Clone, Debug)]
enum Directory {
    Path(PathBuf),
    Opened(Arc<OwnedFd>),
}

impl Cgroup {
    /// The cgroup whose directory is `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            directory: Directory::Path(path.into()),
            attach_type: None,
            place: None,
        }
    }

    /// The cgroup whose directory is open.
    #[must_use]
    pub fn from_fd(directory: OwnedFd) -> Self {
        let directory = Directory::Opened(Arc::new(directory));
        Self {
            directory,
            attach_type: None,
            place: None,
        }
    }

    /// How, if not as the program was loaded to be attached.
    #[must_use]
    pub const fn attach_type(mut self, attach_type: AttachType) -> Self {
        self.attach_type = Some(attach_type);
        self
    }

    /// The place among other programs (6.17). One that is attached by a link is found by that link
    /// alone, not by the program.
    #[must_use]
    pub fn place(self, place: Place) -> Self {
        Self {
            place: Some(place),
            ..self
        }
    }
}

impl super::Target for Cgroup {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let opened;
        let directory = match &self.directory {
            Directory::Opened(fd) => fd.as_fd(),
            Directory::Path(path) => {
                opened = File::open(path).map_err(Error::file("open cgroup", path))?;
                opened.as_fd()
            }
        };
        NewLink {
            target: AttachPoint::Fd(directory),
            attach_type: attach_type(program, self.attach_type)?,
            flags: self.place.as_ref().map_or(0, Place::flags),
            options: self
                .place
                .as_ref()
                .map_or(LinkOptions::None, Place::options),
            since: ((5, 7, 0), "cgroup link (5.7)"),
        }
        .create(program)
    }
}
