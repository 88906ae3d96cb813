//! A pair of netkit devices, made and removed by rtnetlink.

use std::net::{Ipv4Addr, UdpSocket};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::BindToDevice};

use super::lacks;
use super::rtnetlink::{
    CREATE, DATA, DELETE_LINK, KIND, LINK_INFO, NEW_LINK, UP, attribute, device, name, request,
};

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
