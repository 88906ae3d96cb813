//! XDP: packets as the network device receives them.

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions, host};

use super::create::NewLink;
use crate::{Error, Link, Program};

/// A network device (by a link, 5.9), for programs of type xdp.
#[doc(alias = "bpf_program__attach_xdp")]
#[derive(Clone, Copy, Debug)]
pub struct Xdp {
    ifindex: u32,
    flags: u32,
}

impl Xdp {
    /// The device with this index.
    #[must_use]
    pub const fn new(ifindex: u32) -> Self {
        Self { ifindex, flags: 0 }
    }

    /// The device of this name, in the network name space of this thread.
    ///
    /// # Errors
    /// `ENODEV` without such a device.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let object = format_args!("device `{name}`");
        host::ifindex(name)
            .map(Self::new)
            .map_err(Error::call(object, "find it"))
    }

    /// `XDP_FLAGS_*`: 2 generic, 4 in the driver, 8 in the hardware.
    #[must_use]
    pub const fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }
}

impl super::Target for Xdp {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        NewLink {
            target: AttachPoint::Ifindex(self.ifindex),
            attach_type: AttachType::XDP,
            flags: self.flags,
            options: LinkOptions::None,
            since: ((5, 9, 0), "XDP link (5.9)"),
        }
        .create(program)
    }
}
