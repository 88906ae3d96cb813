//! A pair of netkit devices, made and removed by rtnetlink.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt::BindToDevice,
};

use super::lacks;

// `RTM_*`, `NLM_F_*`, `IFF_UP`
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const REQUEST_AND_ACK: u16 = 5;
const CREATE: u16 = 0x600;
const UP: u32 = 1;

// `IFLA_*`
const NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const KIND: u16 = 1;
const DATA: u16 = 2;
const PEER: u16 = 1;

/// Two devices, up, each sending to the other; gone with it.
pub(crate) struct NetkitPair {
    pub(crate) primary: String,
    pub(crate) peer: String,
}

impl NetkitPair {
    /// `None` if the kernel has no such devices.
    pub(crate) fn create() -> Option<Self> {
        let [primary, peer] = ["a", "b"].map(|end| format!("pbk{}{end}", std::process::id()));
        let peer_info = [device(0), name(&peer)].concat();
        let link_info = [
            attribute(KIND, b"netkit\0"),
            attribute(DATA, &attribute(PEER, &peer_info)),
        ];
        let made = request(
            NEW_LINK,
            CREATE,
            &[
                device(0),
                name(&primary),
                attribute(LINK_INFO, &link_info.concat()),
            ],
        );
        if lacks(made == Err(Errno::EOPNOTSUPP), "netkit") {
            return None;
        }
        made.unwrap();
        let this = Self { primary, peer };
        for end in [&this.primary, &this.peer] {
            request(NEW_LINK, 0, &[device(UP), name(end)]).unwrap();
        }
        Some(this)
    }
}

impl Drop for NetkitPair {
    fn drop(&mut self) {
        request(DELETE_LINK, 0, &[device(0), name(&self.primary)]).unwrap();
    }
}

/// Sends a packet out of a device, which needs no address for it.
pub(crate) fn send_from(device: &str) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.set_broadcast(true).unwrap();
    setsockopt(&socket, BindToDevice, &device.into()).unwrap();
    socket.send_to(b"x", (Ipv4Addr::BROADCAST, 9)).unwrap();
}

/// `struct ifinfomsg`: no index, so that a name is looked at.
fn device(flags: u32) -> Vec<u8> {
    [[0; 4], [0; 4], flags.to_ne_bytes(), flags.to_ne_bytes()].concat()
}

fn name(name: &str) -> Vec<u8> {
    attribute(NAME, format!("{name}\0").as_bytes())
}

/// `struct nlattr` and what comes with it.
fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + data.len()).unwrap();
    let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends a request and takes its acknowledgement.
fn request(kind: u16, flags: u16, body: &[Vec<u8>]) -> Result<(), Errno> {
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
