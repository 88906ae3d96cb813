//! Traffic control without tcx: filters of a queueing discipline.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};

use purebpf_syscall::Errno;

use super::device;
use super::qdisc::{Qdisc, TcParent};
use crate::netlink::{Socket, tc};
use crate::{Error, Link, Program, ProgramId};

/// Filters of traffic control (4.1, by netlink), for programs of type `sched_cls`, which decide on
/// the packet by what they return. From 6.6 on, [`Tcx`](super::Tcx) does the same by links.
///
/// Dropping the link removes the filter, if it is still of this program; [`Link::disconnect`] lets it
/// stay.
#[doc(alias = "bpf_tc_opts")]
#[derive(Clone, Debug)]
pub struct Tc {
    place: tc::Place,
    parent: TcParent,
    replace: bool,
}

/// A filter that is a BPF program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcFilter {
    /// The device.
    pub ifindex: u32,
    /// What it is for.
    pub parent: TcParent,
    /// Its place: smaller ones come first.
    pub priority: u16,
    /// Its number among those of this priority.
    pub handle: u32,
    /// Its chain, 0 unless somebody made others.
    pub chain: u32,
    /// The program.
    pub program: ProgramId,
    /// What it was called when it was attached.
    pub name: String,
    /// Whether the program decides on the packet.
    pub direct_action: bool,
}

impl From<tc::Filter> for TcFilter {
    fn from(filter: tc::Filter) -> Self {
        Self {
            ifindex: filter.place.ifindex,
            parent: TcParent::from_number(filter.place.parent),
            priority: filter.place.priority,
            handle: filter.place.handle,
            chain: filter.chain,
            program: ProgramId(filter.program),
            name: filter.name,
            direct_action: filter.direct_action,
        }
    }
}

impl TcFilter {
    /// Those of all devices of the network name space of this thread, wherever filters can be.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn all() -> Result<Vec<Self>, Error> {
        const OBJECT: &str = "filters of network devices";
        const LIST: &str = "list them";
        let mut socket = Socket::route().map_err(Error::call(OBJECT, "open a socket for them"))?;
        let parents = tc::parents(&mut socket).map_err(Error::netlink(OBJECT, LIST))?;
        let mut found = Vec::new();
        for (ifindex, parent) in parents {
            let place = Tc::new(ifindex, TcParent::from_number(parent)).place;
            let filters = place.filters(&mut socket);
            let filters = filters.map_err(Error::netlink(OBJECT, LIST))?;
            found.extend(filters.into_iter().map(Self::from));
        }
        Ok(found)
    }
}

impl Tc {
    /// The device with this index, in the network name space of the thread that attaches.
    #[must_use]
    pub const fn new(ifindex: u32, parent: TcParent) -> Self {
        Self {
            place: tc::Place {
                ifindex,
                parent: parent.number(),
                priority: 0,
                handle: 0,
            },
            parent,
            replace: false,
        }
    }

    /// The device of this name, in the network name space of this thread.
    ///
    /// # Errors
    /// [`Error::Missing`] without such a device, with names much like it.
    pub fn by_name(name: &str, parent: TcParent) -> Result<Self, Error> {
        device::by_name(name).map(|ifindex| Self::new(ifindex, parent))
    }

    /// The place among other filters: smaller ones come first. The kernel finds one if this is not
    /// called.
    #[must_use]
    pub const fn priority(mut self, priority: u16) -> Self {
        self.place.priority = priority;
        self
    }

    /// The number among filters of one priority, of which the newest runs first. The kernel finds
    /// one if this is not called.
    #[must_use]
    pub const fn handle(mut self, handle: u32) -> Self {
        self.place.handle = handle;
        self
    }

    /// In the place of the filter with this priority and handle, if there is one; without this, that
    /// is `EEXIST`.
    #[doc(alias = "BPF_TC_F_REPLACE")]
    #[must_use]
    pub const fn replacing(mut self) -> Self {
        self.replace = true;
        self
    }

    /// The filters that are BPF programs, in the order in which they run; of one priority or handle
    /// alone if that is set.
    ///
    /// # Errors
    /// What the kernel says. Without such a device or qdisc there are no filters.
    #[doc(alias = "bpf_tc_query")]
    pub fn query(&self) -> Result<Vec<TcFilter>, Error> {
        let found = self.place.filters(&mut self.socket()?);
        let found = found.map_err(Error::netlink(self, "list its filters"))?;
        Ok(found.into_iter().map(TcFilter::from).collect())
    }

    /// Removes the filter with this priority and handle, whoever attached it; without a handle all
    /// filters of the priority, and without a priority all.
    ///
    /// # Errors
    /// `ENOENT` without such a filter, `EINVAL` without a qdisc, and what the kernel says.
    #[doc(alias = "bpf_tc_detach")]
    pub fn detach(&self) -> Result<(), Error> {
        let removed = self.place.remove(&mut self.socket()?);
        removed.map_err(Error::netlink(self, "remove its filters"))
    }

    fn socket(&self) -> Result<Socket, Error> {
        Socket::route().map_err(Error::call(self, "open a socket for it"))
    }
}

impl fmt::Display for Tc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ifindex, parent) = (self.place.ifindex, self.parent);
        write!(f, "network device {ifindex} {parent}")
    }
}

impl super::Target for Tc {
    /// The qdisc `clsact` is made if it is missing, and stays.
    #[doc(alias = "bpf_tc_attach")]
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        if let Some(qdisc) = Qdisc::of(self.place.ifindex, self.parent) {
            qdisc.create()?;
        }
        let mut socket = self.socket()?;
        let name = format!("{}:[{}]", program.name(), program.id());
        let fd = program.as_fd().as_raw_fd();
        let added = self
            .place
            .add(&mut socket, fd, &name, self.replace)
            .map_err(Error::netlink(program, "attach it as a filter"))?;
        let place = added.map(|filter| filter.place).ok_or_else(|| {
            Error::invalid(program, "the kernel does not tell where its filter is")
        })?;
        let (this, id) = (self.clone(), program.id().0);
        Link::unlinked(program, Some(program), move || {
            let found = place.filters(&mut socket);
            let found = found.map_err(Error::netlink(&this, "list its filters"))?;
            if found.iter().all(|filter| filter.program != id) {
                return Ok(());
            }
            match place.remove(&mut socket) {
                // Somebody else was faster.
                Err(gone) if matches!(gone.errno(), Errno::ENOENT | Errno::ENODEV) => Ok(()),
                result => result.map_err(Error::netlink(&this, "remove its filter")),
            }
        })
    }
}
