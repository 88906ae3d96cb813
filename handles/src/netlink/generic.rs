//! Generic netlink: families that have names instead of numbers.

use purebpf_syscall::Errno;

use super::{Kind, NetlinkError, Request, Socket, attribute, text};

/// `GENL_ID_CTRL`: the family that knows the others.
const CONTROL: Kind = Kind::new(16, "CTRL_CMD_GETFAMILY");
/// Words of `struct genlmsghdr`.
const HEADER: usize = 1;

/// `struct genlmsghdr`
const fn header(command: u8, version: u8) -> u32 {
    u32::from_ne_bytes([command, version, 0, 0])
}

/// What a network device can do with XDP, by the family `netdev` (6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceFeatures {
    pub(crate) xdp: u64,
    pub(crate) zero_copy_segments: u32,
}

/// `None` if the kernel does not have the family.
pub(crate) fn device_features(
    socket: &mut Socket,
    ifindex: u32,
) -> Result<Option<DeviceFeatures>, NetlinkError> {
    // `CTRL_ATTR_*`
    const FAMILY_ID: u16 = 1;
    const FAMILY_NAME: u16 = 2;
    // `NETDEV_A_DEV_*`
    const IFINDEX: u16 = 1;
    const XDP_FEATURES: u16 = 3;
    const ZERO_COPY_SEGMENTS: u16 = 4;
    let family = Request::new(CONTROL, 0, &[header(3, 2)], &[text(FAMILY_NAME, "netdev")]);
    let answers = match socket.ask(family) {
        Err(error) if error.errno() == Errno::ENOENT => return Ok(None),
        answers => answers?,
    };
    let Some(family) = answers.first() else {
        return Ok(None);
    };
    let kind = Kind {
        number: family.attributes(HEADER).number(FAMILY_ID),
        name: "NETDEV_CMD_DEV_GET",
    };
    let device = Request::new(kind, 0, &[header(1, 1)], &[attribute(IFINDEX, ifindex)]);
    let answers = socket.ask(device)?;
    Ok(answers.first().map(|answer| {
        let attributes = answer.attributes(HEADER);
        DeviceFeatures {
            xdp: attributes.number(XDP_FEATURES),
            zero_copy_segments: attributes.number(ZERO_COPY_SEGMENTS),
        }
    }))
}
