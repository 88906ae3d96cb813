//! Network devices, as far as programs are attached to them.

use netlink_packet_core::{DefaultNla, NLM_F_DUMP};

use super::{Answer, Kind, NetlinkError, Request, Socket, attribute, nested};

const GET: Kind = Kind::new(18, "RTM_GETLINK");
const SET: Kind = Kind::new(19, "RTM_SETLINK");

/// Words of `struct ifinfomsg`: family and type, index, flags, change.
const HEADER: usize = 4;

// `IFLA_*`
const NAME: u16 = 3;
const EXT_MASK: u16 = 29;
const XDP: u16 = 43;
/// `RTEXT_FILTER_SKIP_STATS`: counters are not wanted.
const WITHOUT_STATISTICS: u32 = 1 << 3;

// `IFLA_XDP_*`
const FD: u16 = 1;
const ATTACHED: u16 = 2;
const FLAGS: u16 = 3;
const ID: u16 = 4;
const NATIVE_ID: u16 = 5;
const GENERIC_ID: u16 = 6;
const OFFLOAD_ID: u16 = 7;
const EXPECTED_FD: u16 = 8;

/// A network device and the ids of the XDP programs on it, 0 where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    pub(crate) ifindex: u32,
    pub(crate) name: String,
    pub(crate) generic: u32,
    pub(crate) native: u32,
    pub(crate) offload: u32,
}

impl Device {
    /// What an answer to `RTM_GETLINK` says.
    pub fn from(answer: &Answer) -> Self {
        let attributes = answer.attributes(HEADER);
        let xdp = attributes.nested(XDP);
        let id = |kind| xdp.number::<u32>(kind);
        let mut this = Self {
            ifindex: answer.word(1),
            name: attributes.text(NAME),
            generic: id(GENERIC_ID),
            native: id(NATIVE_ID),
            offload: id(OFFLOAD_ID),
        };
        // Before 4.19 there is one program, and its mode.
        if [this.generic, this.native, this.offload] == [0; 3] {
            match xdp.number::<u8>(ATTACHED) {
                1 => this.native = id(ID),
                2 => this.generic = id(ID),
                3 => this.offload = id(ID),
                _ => {}
            }
        }
        this
    }
}

/// The device with this index, or all of them.
pub(crate) fn devices(
    socket: &mut Socket,
    index: Option<u32>,
) -> Result<Vec<Device>, NetlinkError> {
    let flags = if index.is_some() { 0 } else { NLM_F_DUMP };
    let header = [0, index.unwrap_or(0), 0, 0];
    let request = Request::new(
        GET,
        flags,
        &header,
        &[attribute(EXT_MASK, WITHOUT_STATISTICS)],
    );
    let answers = socket.ask(request)?;
    Ok(answers.iter().map(Device::from).collect())
}

/// Attaches an XDP program by its fd, or detaches what is there with -1. With `expected`, only if
/// that program, or with -1 none, is there.
pub(crate) fn set_xdp(
    socket: &mut Socket,
    ifindex: u32,
    fd: i32,
    flags: u32,
    expected: Option<i32>,
) -> Result<(), NetlinkError> {
    /// `XDP_FLAGS_REPLACE`
    const REPLACE: u32 = 1 << 4;
    let flags = flags | if expected.is_some() { REPLACE } else { 0 };
    let mut attributes: Vec<DefaultNla> = vec![attribute(FD, fd)];
    if flags != 0 {
        attributes.push(attribute(FLAGS, flags));
    }
    attributes.extend(expected.map(|fd| attribute(EXPECTED_FD, fd)));
    let request = Request::new(SET, 0, &[0, ifindex, 0, 0], &[nested(XDP, &attributes)]);
    socket.ask(request).map(drop)
}
