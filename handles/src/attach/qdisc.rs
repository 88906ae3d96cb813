//! Queueing disciplines, which filters of traffic control are in.

use std::fmt;

use purebpf_syscall::Errno;

use crate::Error;
use crate::netlink::{Socket, tc};

/// Where in a queueing discipline filters are, or in a class of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcParent {
    /// What comes in (`BPF_TC_INGRESS`).
    Ingress,
    /// What goes out (`BPF_TC_EGRESS`).
    Egress,
    /// A qdisc or class by its handle, `MAJOR << 16 | MINOR` (`BPF_TC_CUSTOM`).
    Custom(u32),
}

impl TcParent {
    /// `TC_H_MAKE(TC_H_CLSACT, ...)`
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Ingress => 0xffff_fff2,
            Self::Egress => 0xffff_fff3,
            Self::Custom(handle) => handle,
        }
    }

    pub(super) const fn from_number(number: u32) -> Self {
        match number {
            0xffff_fff2 => Self::Ingress,
            0xffff_fff3 => Self::Egress,
            handle => Self::Custom(handle),
        }
    }
}

impl fmt::Display for TcParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ingress => f.pad("ingress"),
            Self::Egress => f.pad("egress"),
            Self::Custom(handle) => write!(f, "{:x}:{:x}", handle >> 16, handle & 0xffff),
        }
    }
}

/// A queueing discipline of a network device.
#[doc(alias = "bpf_tc_hook")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    ifindex: u32,
    kind: Box<str>,
    parent: u32,
    handle: u32,
}

impl Qdisc {
    /// The one that takes filters for what comes in and what goes out, and queues nothing (4.5).
    #[must_use]
    pub fn clsact(ifindex: u32) -> Self {
        // `TC_H_CLSACT`, and the handle that comes with it.
        Self::new(ifindex, "clsact", 0xffff_fff1, 0xffff_0000)
    }

    /// One of any kind, such as one that a BPF program implements (6.16): its parent, which is
    /// `0xffff_ffff` for the device itself, and its handle, both as `MAJOR << 16 | MINOR`.
    #[must_use]
    pub fn new(ifindex: u32, kind: &str, parent: u32, handle: u32) -> Self {
        Self {
            ifindex,
            kind: kind.into(),
            parent,
            handle,
        }
    }

    /// Makes it, and says whether it was not there before.
    ///
    /// # Errors
    /// `ENODEV` without such a device, and what the kernel says.
    #[doc(alias = "bpf_tc_hook_create")]
    pub fn create(&self) -> Result<bool, Error> {
        let mut socket = self.socket()?;
        match self.request().create(&mut socket) {
            Err(error) if error.errno() == Errno::EEXIST => Ok(false),
            result => result
                .map(|()| true)
                .map_err(Error::netlink(self, "make it")),
        }
    }

    /// Removes it with all filters in it.
    ///
    /// # Errors
    /// `ENOENT` or `EINVAL` if it is not there, and what the kernel says.
    #[doc(alias = "bpf_tc_hook_destroy")]
    pub fn destroy(&self) -> Result<(), Error> {
        let mut socket = self.socket()?;
        let removed = self.request().delete(&mut socket);
        removed.map_err(Error::netlink(self, "remove it"))
    }

    fn socket(&self) -> Result<Socket, Error> {
        Socket::route().map_err(Error::call(self, "open a socket for it"))
    }

    fn request(&self) -> tc::Qdisc<'_> {
        tc::Qdisc {
            ifindex: self.ifindex,
            kind: &self.kind,
            parent: self.parent,
            handle: self.handle,
        }
    }

    /// What a filter of this parent needs, if it is not for the user to make.
    pub(super) fn of(ifindex: u32, parent: TcParent) -> Option<Self> {
        (!matches!(parent, TcParent::Custom(_))).then(|| Self::clsact(ifindex))
    }
}

impl fmt::Display for Qdisc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, ifindex, .. } = self;
        write!(f, "qdisc `{kind}` of network device {ifindex}")
    }
}
