//! Network devices.

use purebpf_syscall::host;

use super::XdpInfo;
use crate::error::boxed;
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
        let mut socket = Socket::route().map_err(Error::call(DEVICES, "open a socket for them"))?;
        let found =
            link::devices(&mut socket, None).map_err(Error::netlink(DEVICES, "list them"))?;
        let found = found.into_iter().map(|device| Self {
            ifindex: device.ifindex,
            xdp: XdpInfo::from(&device),
            name: device.name,
        });
        Ok(found.collect())
    }
}

const DEVICES: &str = "network devices";

/// The index of the device, in the network name space of this thread.
pub(super) fn by_name(name: &str) -> Result<u32, Error> {
    host::ifindex(name).map_err(|source| Error::Missing {
        object: boxed(format_args!("network device `{name}`")),
        nearest: Nearest::of(name, host::ifnames().unwrap_or_default()),
        source,
    })
}
