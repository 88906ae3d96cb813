//! Cgroups: sockets, packets, devices and settings of a group of processes.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::Place;
use super::create::{NewLink, attach_type};
use super::direct::{Direct, Point};
use super::query::{self, Attached, Tells};
use crate::{Error, Link, Program};

const KIND: &str = "cgroup";

/// A cgroup of version 2 (by a link, 5.7, or without one, 4.10), for the programs whose types begin with `cgroup`, for
/// `sock_ops`, and for `lsm` ones loaded for a cgroup (6.0).
#[doc(alias = "bpf_program__attach_cgroup_opts")]
#[derive(Clone, Debug)]
pub struct Cgroup {
    directory: Directory,
    attach_type: Option<AttachType>,
    place: Option<Place>,
    mode: Option<CgroupMode>,
    replace: Option<Program>,
}

/// What else may be attached where a program is attached without a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CgroupMode {
    /// Nothing else, neither there nor in descendants.
    Alone,
    /// Another program in a descendant, which then counts there (`BPF_F_ALLOW_OVERRIDE`).
    Override,
    /// Others, and others in descendants; all of them run (`BPF_F_ALLOW_MULTI`, 4.15).
    Multi,
}

impl CgroupMode {
    const fn flags(self) -> u32 {
        match self {
            Self::Alone => 0,
            Self::Override => 1,
            Self::Multi => 2,
        }
    }
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
        Self::of(Directory::Path(path.into()))
    }

    /// The cgroup whose directory is open.
    #[must_use]
    pub fn from_fd(directory: OwnedFd) -> Self {
        Self::of(Directory::Opened(Arc::new(directory)))
    }

    const fn of(directory: Directory) -> Self {
        Self {
            directory,
            attach_type: None,
            place: None,
            mode: None,
            replace: None,
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

    /// By `BPF_PROG_ATTACH` also where the kernel has links: [`Link::disconnect`] lets the program
    /// stay, as long as the cgroup is there.
    #[doc(alias = "bpf_prog_attach")]
    #[must_use]
    pub fn without_link(self, mode: CgroupMode) -> Self {
        Self {
            mode: Some(mode),
            ..self
        }
    }

    /// By `BPF_PROG_ATTACH` among others ([`CgroupMode::Multi`]), in the place of this program (5.6).
    #[doc(alias = "BPF_F_REPLACE")]
    #[must_use]
    pub fn replacing_program(self, old: &Program) -> Self {
        Self {
            mode: Some(CgroupMode::Multi),
            replace: Some(old.clone()),
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

    /// The programs that are attached to the cgroup itself, as [`Self::attach_type`] says, which has
    /// to be set (4.15).
    ///
    /// # Errors
    /// No attach type, a cgroup that is not there, `EINVAL` for an attach type that the kernel does
    /// not have.
    #[doc(alias = "bpf_prog_query")]
    pub fn query(&self) -> Result<Attached, Error> {
        self.ask(Tells::Flags)
    }

    /// The programs that run for processes of the cgroup, with those of its ancestors, as
    /// [`Self::query`].
    ///
    /// # Errors
    /// As [`Self::query`].
    #[doc(alias = "BPF_F_QUERY_EFFECTIVE")]
    pub fn effective(&self) -> Result<Attached, Error> {
        self.ask(Tells::Effective)
    }

    fn ask(&self, tells: Tells) -> Result<Attached, Error> {
        let how = query::needed(self, self.attach_type)?;
        let directory = self.open()?;
        query::query(self, AttachPoint::Fd(directory.as_fd()), how, tells)
    }

    fn open(&self) -> Result<Arc<OwnedFd>, Error> {
        match &self.directory {
            Directory::Opened(fd) => Ok(Arc::clone(fd)),
            Directory::Path(path) => {
                let opened = File::open(path).map_err(Error::open(KIND, path, true))?;
                Ok(Arc::new(opened.into()))
            }
        }
    }

    fn direct(&self, program: &Program) -> Result<Direct, Error> {
        let how = attach_type(program, self.attach_type)?;
        Ok(Direct::new(Point::Fd(self.open()?), how))
    }

    /// The attach types of cgroups, those of the kernels that came first before the others.
    pub const ATTACH_TYPES: &[AttachType] = &[
        AttachType::CGROUP_INET_INGRESS,
        AttachType::CGROUP_INET_EGRESS,
        AttachType::CGROUP_INET_SOCK_CREATE,
        AttachType::CGROUP_INET_SOCK_RELEASE,
        AttachType::CGROUP_SOCK_OPS,
        AttachType::CGROUP_DEVICE,
        AttachType::CGROUP_INET4_BIND,
        AttachType::CGROUP_INET6_BIND,
        AttachType::CGROUP_INET4_CONNECT,
        AttachType::CGROUP_INET6_CONNECT,
        AttachType::CGROUP_INET4_POST_BIND,
        AttachType::CGROUP_INET6_POST_BIND,
        AttachType::CGROUP_UDP4_SENDMSG,
        AttachType::CGROUP_UDP6_SENDMSG,
        AttachType::CGROUP_SYSCTL,
        AttachType::CGROUP_UDP4_RECVMSG,
        AttachType::CGROUP_UDP6_RECVMSG,
        AttachType::CGROUP_GETSOCKOPT,
        AttachType::CGROUP_SETSOCKOPT,
        AttachType::CGROUP_INET4_GETPEERNAME,
        AttachType::CGROUP_INET6_GETPEERNAME,
        AttachType::CGROUP_INET4_GETSOCKNAME,
        AttachType::CGROUP_INET6_GETSOCKNAME,
        AttachType::LSM_CGROUP,
        AttachType::CGROUP_UNIX_CONNECT,
        AttachType::CGROUP_UNIX_SENDMSG,
        AttachType::CGROUP_UNIX_RECVMSG,
        AttachType::CGROUP_UNIX_GETPEERNAME,
        AttachType::CGROUP_UNIX_GETSOCKNAME,
    ];
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.directory {
            Directory::Path(path) => write!(f, "{KIND} {}", path.display()),
            Directory::Opened(_) => f.write_str(KIND),
        }
    }
}

impl super::Target for Cgroup {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        if let Some(mode) = self.mode {
            let direct = Direct {
                flags: mode.flags(),
                is_forgetful: mode != CgroupMode::Multi,
                ..self.direct(program)?
            };
            return direct.attach(program, self.replace.as_ref(), self.place.as_ref());
        }
        let directory = self.open()?;
        NewLink {
            target: AttachPoint::Fd(directory.as_fd()),
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
