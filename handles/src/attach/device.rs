//! Network devices.

use std::fmt::Display;

use purebpf_syscall::host;

use super::XdpInfo;
use crate::error::{boxed, shown};
use crate::netlink::{Socket, link};
use crate::{Error, Nearest};

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Its index, in its network name space.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// The XDP programs on it.
    pub xdp: XdpInfo,
}

impl Device {
    /// Those of the network name space of this thread.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn all() -> Result<Vec<Self>, Error> {
        Self::find(None, &"network devices")
    }

    /// The one of this name, in the network name space of this thread.
    ///
    /// # Errors
    /// [`Error::Missing`] without such a device, with names much like it, and what the kernel says.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let object = shown(|f| write!(f, "network device `{name}`"));
        let found = Self::find(Some(by_name(name)?), &object)?
            .into_iter()
            .next();
        found.ok_or_else(|| Error::invalid(object, "the kernel does not tell what it is"))
    }

    fn find(index: Option<u32>, object: &dyn Display) -> Result<Vec<Self>, Error> {
        let mut socket = Socket::route().map_err(Error::call(object, "open a socket for it"))?;
        let found = link::devices(&mut socket, index);
        let found = found.map_err(Error::netlink(object, "ask for its programs"))?;
        let found = found.into_iter().map(|device| Self {
            ifindex: device.ifindex,
            xdp: XdpInfo::from(&device),
            name: device.name,
        });
        Ok(found.collect())
    }
}

/// The index of the device, in the network name space of this thread.
pub(super) fn by_name(name: &str) -> Result<u32, Error> {
    host::ifindex(name).map_err(|source| Error::Missing {
        object: boxed(format_args!("network device `{name}`")),
        nearest: Nearest::of(name, host::ifnames().unwrap_or_default()),
        source,
    })
}
