//! XDP: packets as the network device receives them.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};

use bitflags::bitflags;
use purebpf_insn::AttachType;
use purebpf_syscall::host::release;
use purebpf_syscall::{AttachPoint, CallError, Errno, LinkOptions};

use super::create::NewLink;
use super::device;
use crate::netlink::{Socket, generic, link};
use crate::{Error, Link, Program, ProgramId};

/// A network device, for programs of type xdp: by a link (5.9), or else by netlink (4.8), which has
/// the device one program, until it is detached.
#[doc(alias = "bpf_program__attach_xdp")]
#[derive(Clone, Debug)]
pub struct Xdp {
    ifindex: u32,
    flags: u32,
    by: Means,
}

#[derive(Clone, Debug)]
enum Means {
    /// A link, on kernels that have it.
    Best,
    Netlink(Instead),
}

/// What may be on the device before.
#[derive(Clone, Debug)]
enum Instead {
    Nothing,
    Anything,
    Program(Program),
}

/// Where in the way of a packet a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XdpMode {
    /// In the network stack, for any device (`XDP_FLAGS_SKB_MODE`, 4.12).
    Generic,
    /// In the driver, if it can do that (`XDP_FLAGS_DRV_MODE`).
    Native,
    /// In the hardware (`XDP_FLAGS_HW_MODE`, 4.13).
    Offload,
}

impl XdpMode {
    /// `XDP_FLAGS_*`
    const fn flag(self) -> u32 {
        match self {
            Self::Generic => 1 << 1,
            Self::Native => 1 << 2,
            Self::Offload => 1 << 3,
        }
    }
}

/// The XDP programs on a device; one in the network stack or the driver, and one in the hardware.
#[doc(alias = "bpf_xdp_query_opts")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpInfo {
    /// [`XdpMode::Generic`]
    pub generic: Option<ProgramId>,
    /// [`XdpMode::Native`]
    pub native: Option<ProgramId>,
    /// [`XdpMode::Offload`]
    pub offload: Option<ProgramId>,
}

impl XdpInfo {
    /// The programs with their modes.
    pub fn programs(&self) -> impl Iterator<Item = (XdpMode, ProgramId)> + use<> {
        let all = [
            (XdpMode::Generic, self.generic),
            (XdpMode::Native, self.native),
            (XdpMode::Offload, self.offload),
        ];
        all.into_iter()
            .filter_map(|(mode, program)| Some((mode, program?)))
    }
}

impl From<&link::Device> for XdpInfo {
    fn from(device: &link::Device) -> Self {
        let program = |id| (id != 0).then_some(ProgramId(id));
        Self {
            generic: program(device.generic),
            native: program(device.native),
            offload: program(device.offload),
        }
    }
}

bitflags! {
    /// What the driver of a device can do (`NETDEV_XDP_ACT_*`, 6.3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct XdpFeatures: u64 {
        /// Drop, pass, send back.
        const BASIC = 1;
        /// Hand over to another device.
        const REDIRECT = 1 << 1;
        /// Be the device that packets are handed over to.
        const TRANSMIT = 1 << 2;
        /// Sockets without copying.
        const ZERO_COPY = 1 << 3;
        /// Programs in the hardware.
        const OFFLOAD = 1 << 4;
        /// Packets in several pieces.
        const FRAGMENTS = 1 << 5;
        /// The same, to be handed over to.
        const TRANSMIT_FRAGMENTS = 1 << 6;
        const _ = !0;
    }
}

impl Xdp {
    /// The device with this index, in the network name space of the thread that attaches.
    #[must_use]
    pub const fn new(ifindex: u32) -> Self {
        Self {
            ifindex,
            flags: 0,
            by: Means::Best,
        }
    }

    /// The device of this name, in the network name space of this thread.
    ///
    /// # Errors
    /// [`Error::Missing`] without such a device, with names much like it.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        device::by_name(name).map(Self::new)
    }

    /// `XDP_FLAGS_*`: 2 generic, 4 in the driver, 8 in the hardware.
    #[must_use]
    pub const fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// The mode; without one, the driver's if it can do that, or else the generic one.
    #[must_use]
    pub const fn mode(self, mode: XdpMode) -> Self {
        self.flags(mode.flag())
    }

    /// By netlink also where the kernel has links. It is refused if a program is there already.
    ///
    /// Dropping the link detaches the program if it still is the one that is attached;
    /// [`Link::disconnect`] lets it stay.
    #[doc(alias = "bpf_xdp_attach")]
    #[must_use]
    pub fn without_link(self) -> Self {
        self.by_netlink(Instead::Nothing)
    }

    /// By netlink, in the place of whatever is there.
    #[must_use]
    pub fn replacing(self) -> Self {
        self.by_netlink(Instead::Anything)
    }

    /// By netlink, in the place of this program, if that is what is there (5.7).
    #[must_use]
    pub fn replacing_program(self, old: &Program) -> Self {
        self.by_netlink(Instead::Program(old.clone()))
    }

    fn by_netlink(self, instead: Instead) -> Self {
        let by = Means::Netlink(instead);
        Self { by, ..self }
    }

    /// Detaches what was attached by netlink, whoever did it, in this mode.
    ///
    /// # Errors
    /// `EBUSY` for what is attached by a link, and what the kernel says. That nothing is attached is
    /// none.
    #[doc(alias = "bpf_xdp_detach")]
    pub fn detach(&self) -> Result<(), Error> {
        let mut socket = self.socket()?;
        link::set_xdp(&mut socket, self.ifindex, -1, self.flags, None)
            .map_err(Error::netlink(self, "detach its program"))
    }

    /// The programs that are attached, however that was done (4.12).
    ///
    /// # Errors
    /// `ENODEV` without such a device, and what the kernel says.
    #[doc(alias = "bpf_xdp_query")]
    #[doc(alias = "bpf_xdp_query_id")]
    pub fn query(&self) -> Result<XdpInfo, Error> {
        self.query_by(&mut self.socket()?)
    }

    fn query_by(&self, socket: &mut Socket) -> Result<XdpInfo, Error> {
        let devices = link::devices(socket, Some(self.ifindex))
            .map_err(Error::netlink(self, "ask for its programs"))?;
        Ok(devices.first().map(XdpInfo::from).unwrap_or_default())
    }

    /// What the driver can do, and into how many pieces a packet for a socket without copying may
    /// be; `None` if the kernel does not tell (before 6.3).
    ///
    /// # Errors
    /// `ENODEV` without such a device, and what the kernel says.
    #[doc(alias = "bpf_xdp_query")]
    pub fn features(&self) -> Result<Option<(XdpFeatures, u32)>, Error> {
        let failed = |error: CallError| Error::call(self, "ask what it can do")(error);
        let mut socket = Socket::generic().map_err(failed)?;
        let features = generic::device_features(&mut socket, self.ifindex)
            .map_err(Error::netlink(self, "ask what it can do"))?;
        let retain = XdpFeatures::from_bits_retain;
        Ok(features.map(|features| (retain(features.xdp), features.zero_copy_segments)))
    }

    fn socket(&self) -> Result<Socket, Error> {
        Socket::route().map_err(Error::call(self, "open a socket for it"))
    }

    fn attach_by_netlink(&self, program: &Program, instead: &Instead) -> Result<Link, Error> {
        /// `XDP_FLAGS_UPDATE_IF_NOEXIST`
        const IF_NOTHING: u32 = 1;
        let mut socket = self.socket()?;
        let (flags, expected) = match instead {
            Instead::Nothing => (self.flags | IF_NOTHING, None),
            Instead::Anything => (self.flags, None),
            Instead::Program(old) => (self.flags, Some(old.as_fd().as_raw_fd())),
        };
        let fd = program.as_fd().as_raw_fd();
        link::set_xdp(&mut socket, self.ifindex, fd, flags, expected)
            .map_err(Error::netlink(program, "attach it by netlink"))?;
        let (device, attached) = (self.clone(), program.clone());
        // The socket stays in its name space, where alone the index is this device's.
        Link::unlinked(program, Some(program), move || {
            device.detach_only(&mut socket, &attached)
        })
    }

    /// Detaches a program, if it is the one that is attached.
    fn detach_only(&self, socket: &mut Socket, program: &Program) -> Result<(), Error> {
        // Before 5.7 the kernel cannot be told which one is expected.
        let expected = match release().is_ok_and(|running| running < (5, 7, 0)) {
            true => match self.query_by(socket) {
                Ok(info) if info.programs().all(|(_, id)| id != program.id()) => return Ok(()),
                Err(error) if error.is_errno(Errno::ENODEV) => return Ok(()),
                info => info.map(|_| None)?,
            },
            false => Some(program.as_fd().as_raw_fd()),
        };
        match link::set_xdp(socket, self.ifindex, -1, self.flags, expected) {
            // The device is gone, or another program is there.
            Err(gone) if matches!(gone.errno(), Errno::ENODEV | Errno::EEXIST) => Ok(()),
            result => result.map_err(Error::netlink(self, "detach its program")),
        }
    }
}

impl fmt::Display for Xdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network device {}", self.ifindex)
    }
}

impl super::Target for Xdp {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        if let Means::Netlink(instead) = &self.by {
            return self.attach_by_netlink(program, instead);
        }
        let link = NewLink {
            target: AttachPoint::Ifindex(self.ifindex),
            attach_type: AttachType::XDP,
            flags: self.flags,
            options: LinkOptions::None,
            since: ((5, 9, 0), "XDP link (5.9)"),
        };
        match link.create(program) {
            Err(Error::Unsupported { .. }) => self.attach_by_netlink(program, &Instead::Nothing),
            link => link,
        }
    }
}
