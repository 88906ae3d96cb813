//! Routes: programs that see, change or drop the packets that take one.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use purebpf_insn::ProgramType;
use purebpf_syscall::Errno;

use super::device;
use crate::netlink::Socket;
use crate::netlink::route::{OnRoute, Route};
use crate::{Error, Link, Program};

/// A new route (4.10, by netlink), for programs of types `lwt_in`, `lwt_out` and `lwt_xmit`, which see
/// the packets that take it.
///
/// Dropping the link removes the route; [`Link::disconnect`] lets it stay.
#[doc(alias = "LWTUNNEL_ENCAP_BPF")]
#[derive(Clone, Debug)]
pub struct Lwt(Route);

/// `RT_TABLE_MAIN`
const MAIN: u32 = 254;
/// `RT_TABLE_LOCAL`
const LOCAL: u32 = 255;

impl Lwt {
    /// A route to the addresses whose first `prefix` bits are those of `destination`, by the device
    /// with this index, in the network name space of the thread that attaches.
    #[must_use]
    pub const fn new(destination: IpAddr, prefix: u8, ifindex: u32) -> Self {
        Self(Route {
            destination,
            prefix,
            ifindex,
            gateway: None,
            table: MAIN,
            is_local: false,
            headroom: 0,
        })
    }

    /// As [`Self::new`], with the device of this name, in the network name space of this thread.
    ///
    /// # Errors
    /// [`Error::Missing`] without such a device, with names much like it.
    pub fn by_name(destination: IpAddr, prefix: u8, name: &str) -> Result<Self, Error> {
        device::by_name(name).map(|ifindex| Self::new(destination, prefix, ifindex))
    }

    /// By this machine, of the family of the destination.
    #[must_use]
    pub const fn gateway(mut self, gateway: IpAddr) -> Self {
        self.0.gateway = Some(gateway);
        self
    }

    /// The destination is this machine itself.
    #[must_use]
    pub const fn local(mut self) -> Self {
        self.0.is_local = true;
        self.0.table = LOCAL;
        self
    }

    /// In this table of routes, if not the main one.
    #[must_use]
    pub const fn table(mut self, table: u32) -> Self {
        self.0.table = table;
        self
    }

    /// Bytes that an `lwt_xmit` program may put before a packet, 256 at most.
    #[must_use]
    pub const fn headroom(mut self, bytes: u32) -> Self {
        self.0.headroom = bytes;
        self
    }
}

impl fmt::Display for Lwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route to {}/{}", self.0.destination, self.0.prefix)
    }
}

impl super::Target for Lwt {
    /// Refused if there is such a route already.
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        // `LWT_BPF_*`
        let hook = match program.program_type() {
            ProgramType::LWT_IN => 1,
            ProgramType::LWT_OUT => 2,
            ProgramType::LWT_XMIT => 3,
            other => {
                let expected = "lwt_in, lwt_out or lwt_xmit";
                return Err(Error::mismatch(program, "its type", other, expected));
            }
        };
        let open = Socket::route();
        let mut socket = open.map_err(Error::call(self, "open a socket for it"))?;
        // The kernel tells routes apart by this name.
        let name = format!("{}:[{}]", program.name(), program.id());
        let fd = program.as_fd().as_raw_fd();
        let added = self.0.add(
            &mut socket,
            OnRoute {
                hook,
                fd,
                name: &name,
            },
        );
        added.map_err(Error::netlink(program, "attach it to a route"))?;
        let (this, ours) = (self.clone(), program.clone());
        Link::unlinked(program, Some(program), move || {
            let fd = ours.as_fd().as_raw_fd();
            let on = OnRoute {
                hook,
                fd,
                name: &name,
            };
            match this.0.remove(&mut socket, on) {
                // The route is gone, or the device with it.
                Err(gone) if matches!(gone.errno(), Errno::ESRCH | Errno::ENODEV) => Ok(()),
                result => result.map_err(Error::netlink(&this, "remove it")),
            }
        })
    }
}
