//! tcx and netkit: packets in and out of a network device, several programs in a row.

use std::fmt::{self, Display};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions, Relative, duplicate};

use super::create::{NewLink, attach_type};
use super::device;
use super::direct::{Direct, Point};
use super::query::{self, Attached, Tells};
use crate::{Error, Link, LinkId, Program, ProgramId};

/// Where a program goes among others at the same attach point; the end, if nothing is said.
#[doc(alias = "bpf_tcx_opts")]
#[derive(Clone, Debug, Default)]
pub struct Place {
    flags: u32,
    relative: Neighbour,
    expected_revision: u64,
}

#[derive(Clone, Debug, Default)]
enum Neighbour {
    #[default]
    None,
    Fd(Arc<OwnedFd>),
    Id(u32),
}

/// `BPF_F_BEFORE`
const BEFORE: u32 = 1 << 3;
/// `BPF_F_AFTER`
const AFTER: u32 = 1 << 4;
/// `BPF_F_LINK`: the neighbour is a link.
const LINK: u32 = 1 << 13;

impl Place {
    /// Before all others.
    #[must_use]
    pub fn first() -> Self {
        Self {
            flags: BEFORE,
            ..Self::default()
        }
    }

    /// After all others.
    #[must_use]
    pub fn last() -> Self {
        Self {
            flags: AFTER,
            ..Self::default()
        }
    }

    /// Right before the program with this id.
    #[must_use]
    pub fn before(id: ProgramId) -> Self {
        Self {
            flags: BEFORE,
            relative: Neighbour::Id(id.0),
            ..Self::default()
        }
    }

    /// Right after the program with this id.
    #[must_use]
    pub fn after(id: ProgramId) -> Self {
        Self {
            flags: AFTER,
            relative: Neighbour::Id(id.0),
            ..Self::default()
        }
    }

    /// Right before the link with this id.
    #[must_use]
    pub fn before_link(id: LinkId) -> Self {
        Self {
            flags: BEFORE | LINK,
            relative: Neighbour::Id(id.0),
            ..Self::default()
        }
    }

    /// Right after the link with this id.
    #[must_use]
    pub fn after_link(id: LinkId) -> Self {
        Self {
            flags: AFTER | LINK,
            relative: Neighbour::Id(id.0),
            ..Self::default()
        }
    }

    /// Next to this program (before or after it, as `self` says), which takes no rights that ids
    /// would take.
    ///
    /// # Errors
    /// The process may have no more fds.
    pub fn next_to(self, neighbour: &Program) -> Result<Self, Error> {
        let flags = self.flags & !LINK;
        self.beside(flags, neighbour)
    }

    /// Next to this link, as [`Self::next_to`].
    ///
    /// # Errors
    /// The process may have no more fds.
    pub fn next_to_link(self, neighbour: &Link) -> Result<Self, Error> {
        let flags = self.flags | LINK;
        self.beside(flags, neighbour)
    }

    fn beside(self, flags: u32, neighbour: &(impl AsFd + Display)) -> Result<Self, Error> {
        let fd = duplicate(neighbour.as_fd()).map_err(Error::call(neighbour, "hold it"))?;
        Ok(Self {
            flags,
            relative: Neighbour::Fd(Arc::new(fd)),
            ..self
        })
    }

    /// Only if the attach point is at this revision.
    #[must_use]
    pub const fn expected_revision(mut self, revision: u64) -> Self {
        self.expected_revision = revision;
        self
    }

    pub(super) const fn flags(&self) -> u32 {
        self.flags
    }

    pub(super) fn relative(&self) -> Relative<'_> {
        match &self.relative {
            Neighbour::None => Relative::None,
            Neighbour::Fd(fd) => Relative::Fd(fd.as_fd()),
            Neighbour::Id(id) => Relative::Id(*id),
        }
    }

    pub(super) const fn revision(&self) -> u64 {
        self.expected_revision
    }

    pub(super) fn options(&self) -> LinkOptions<'_> {
        LinkOptions::Relative {
            relative: self.relative(),
            expected_revision: self.expected_revision,
        }
    }
}

macro_rules! device_point {
    ($(#[$doc:meta])* $name:ident, $since:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            ifindex: u32,
            attach_type: Option<AttachType>,
            place: Place,
            by_link: bool,
            replace: Option<Program>,
        }

        impl $name {
            /// The device with this index, in the direction that the program was loaded for.
            #[must_use]
            pub fn new(ifindex: u32) -> Self {
                Self {
                    ifindex,
                    attach_type: None,
                    place: Place::default(),
                    by_link: true,
                    replace: None,
                }
            }

            /// The device of this name, in the network name space of this thread.
            ///
            /// # Errors
            /// [`Error::Missing`] without such a device, with names much like it.
            pub fn by_name(name: &str) -> Result<Self, Error> {
                device::by_name(name).map(Self::new)
            }

            /// Another direction.
            #[must_use]
            pub const fn attach_type(mut self, attach_type: AttachType) -> Self {
                self.attach_type = Some(attach_type);
                self
            }

            /// The place among other programs.
            #[must_use]
            pub fn place(self, place: Place) -> Self {
                Self { place, ..self }
            }

            /// By `BPF_PROG_ATTACH`: [`Link::disconnect`] lets the program stay.
            #[doc(alias = "bpf_prog_attach_opts")]
            #[must_use]
            pub fn without_link(self) -> Self {
                Self { by_link: false, ..self }
            }

            /// By `BPF_PROG_ATTACH`, in the place of a program that was attached so.
            #[must_use]
            pub fn replacing_program(self, old: &Program) -> Self {
                Self { by_link: false, replace: Some(old.clone()), ..self }
            }

            /// Detaches a program that was attached without a link, whoever did it.
            ///
            /// # Errors
            /// `ENOENT` if it is not there, and what the kernel says.
            #[doc(alias = "bpf_prog_detach_opts")]
            pub fn detach(&self, program: &Program) -> Result<(), Error> {
                self.direct(program)?.detach(program)
            }

            /// The programs that are attached, with their links, in the direction of
            /// [`Self::attach_type`], which has to be set.
            ///
            /// # Errors
            /// No attach type, and what the kernel says: `ENODEV` without such a device.
            #[doc(alias = "bpf_prog_query_opts")]
            pub fn query(&self) -> Result<Attached, Error> {
                let how = query::needed(self, self.attach_type)?;
                query::query(self, AttachPoint::Ifindex(self.ifindex), how, Tells::Links)
            }

            fn direct(&self, program: &Program) -> Result<Direct, Error> {
                let point = Point::device(self.ifindex, self)?;
                Ok(Direct::new(point, attach_type(program, self.attach_type)?))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "network device {}", self.ifindex)
            }
        }

        impl super::Target for $name {
            fn attach(&self, program: &Program) -> Result<Link, Error> {
                if self.ifindex == 0 {
                    return Err(Error::invalid(program, "no network device has index 0"));
                }
                if !self.by_link {
                    let direct = self.direct(program)?;
                    return direct.attach(program, self.replace.as_ref(), Some(&self.place));
                }
                NewLink {
                    target: AttachPoint::Ifindex(self.ifindex),
                    attach_type: attach_type(program, self.attach_type)?,
                    flags: self.place.flags(),
                    options: self.place.options(),
                    since: $since,
                }
                .create(program)
            }
        }
    };
}

device_point! {
    /// Traffic control of a network device (6.6), for programs of type `sched_cls`.
    #[doc(alias = "bpf_program__attach_tcx")]
    Tcx, ((6, 6, 0), "tcx link (6.6)")
}

device_point! {
    /// One end of a netkit device (6.7), for programs of type `sched_cls`.
    #[doc(alias = "bpf_program__attach_netkit")]
    Netkit, ((6, 7, 0), "netkit link (6.7)")
}
