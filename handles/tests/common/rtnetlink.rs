//! Requests to rtnetlink, byte by byte, for devices that tests need.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

// `RTM_*`, `NLM_F_*`, `IFF_UP`
pub(crate) const NEW_LINK: u16 = 16;
pub(crate) const DELETE_LINK: u16 = 17;
const REQUEST_AND_ACK: u16 = 5;
pub(crate) const CREATE: u16 = 0x600;
pub(crate) const UP: u32 = 1;

// `IFLA_*`
const NAME: u16 = 3;
pub(crate) const LINK_INFO: u16 = 18;
pub(crate) const NET_NS_FD: u16 = 28;
pub(crate) const KIND: u16 = 1;
pub(crate) const DATA: u16 = 2;

/// `struct ifinfomsg`: no index, so that a name is looked at.
pub(crate) fn device(flags: u32) -> Vec<u8> {
    [[0; 4], [0; 4], flags.to_ne_bytes(), flags.to_ne_bytes()].concat()
}

pub(crate) fn name(name: &str) -> Vec<u8> {
    attribute(NAME, format!("{name}\0").as_bytes())
}

/// `struct nlattr` and what comes with it.
pub(crate) fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + data.len()).unwrap();
    let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends a request and takes its acknowledgement.
pub(crate) fn request(kind: u16, flags: u16, body: &[Vec<u8>]) -> Result<(), Errno> {
    let body = body.concat();
    let mut message = u32::try_from(16 + body.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend((flags | REQUEST_AND_ACK).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    let (family, protocol) = (AddressFamily::Netlink, SockProtocol::NetlinkRoute);
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
    let mut answer = [0; 4096];
    recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    // `struct nlmsgerr` begins with the error, negative.
    match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok(()),
        error => Err(Errno::from_raw(-error)),
    }
}
