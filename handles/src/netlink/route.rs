//! Routes, as far as programs are attached to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_EXCL};

use super::{Kind, NetlinkError, Request, Socket, attribute, nested, text};

const NEW: Kind = Kind::new(24, "RTM_NEWROUTE");
const DELETE: Kind = Kind::new(25, "RTM_DELROUTE");

// `RTA_*`
const DESTINATION: u16 = 1;
const DEVICE: u16 = 4;
const GATEWAY: u16 = 5;
const TABLE: u16 = 15;
const TUNNEL_TYPE: u16 = 21;
const TUNNEL: u16 = 22;

// `LWT_BPF_PROG_*`
const FD: u16 = 1;
const NAME: u16 = 2;
/// `LWT_BPF_XMIT_HEADROOM`
const HEADROOM: u16 = 4;
/// `LWTUNNEL_ENCAP_BPF`
const BPF: u16 = 6;

/// A route whose packets run a program.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) destination: IpAddr,
    /// Bits of the destination that count.
    pub(crate) prefix: u8,
    pub(crate) ifindex: u32,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) table: u32,
    /// The packets are for this machine.
    pub(crate) is_local: bool,
    /// Bytes before a packet that the program may take.
    pub(crate) headroom: u32,
}

/// A program on a route: `LWT_BPF_IN`, `LWT_BPF_OUT` or `LWT_BPF_XMIT`, an fd and a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnRoute<'a> {
    pub(crate) hook: u16,
    pub(crate) fd: i32,
    pub(crate) name: &'a str,
}

impl Route {
    fn request(&self, kind: Kind, flags: u16, program: OnRoute<'_>) -> Request {
        // `AF_*`, `RTPROT_STATIC`, `RT_SCOPE_*`, `RTN_*`
        let family = if self.destination.is_ipv4() { 2 } else { 10 };
        let scope = match (self.is_local, self.gateway) {
            (true, _) => 254,
            (false, None) => 253,
            (false, Some(_)) => 0,
        };
        let route_type = if self.is_local { 2 } else { 1 };
        let header = [
            u32::from_ne_bytes([family, self.prefix, 0, 0]),
            u32::from_ne_bytes([0, 4, scope, route_type]),
            0,
        ];
        let hook = [attribute(FD, program.fd), text(NAME, program.name)];
        let mut tunnel = vec![nested(program.hook, &hook)];
        if self.headroom != 0 {
            tunnel.push(attribute(HEADROOM, self.headroom));
        }
        let mut attributes = vec![
            address(DESTINATION, network(self.destination, self.prefix)),
            attribute(DEVICE, self.ifindex),
            attribute(TABLE, self.table),
            attribute(TUNNEL_TYPE, BPF),
            nested(TUNNEL, &tunnel),
        ];
        attributes.extend(self.gateway.map(|gateway| address(GATEWAY, gateway)));
        Request::new(kind, flags, &header, &attributes)
    }

    /// `EEXIST` if there is such a route.
    pub(crate) fn add(
        &self,
        socket: &mut Socket,
        program: OnRoute<'_>,
    ) -> Result<(), NetlinkError> {
        let request = self.request(NEW, NLM_F_CREATE | NLM_F_EXCL, program);
        socket.ask(request).map(drop)
    }

    /// Removes the route, if it is still of a program of this name; of IPv6, whatever it is of.
    /// `ESRCH` if there is none.
    pub(crate) fn remove(
        &self,
        socket: &mut Socket,
        program: OnRoute<'_>,
    ) -> Result<(), NetlinkError> {
        socket.ask(self.request(DELETE, 0, program)).map(drop)
    }
}

/// The address without the bits that do not count, which the kernel wants to be zero.
fn network(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & !rest).into()
        }
        IpAddr::V6(address) => {
            let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & !rest).into()
        }
    }
}

fn address(kind: u16, address: IpAddr) -> DefaultNla {
    match address {
        IpAddr::V4(address) => attribute(kind, address.octets()),
        IpAddr::V6(address) => attribute(kind, address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_what_the_prefix_leaves() {
        for (address, prefix, expected) in [
            ("198.18.7.9", 24, "198.18.7.0"),
            ("198.18.7.9", 32, "198.18.7.9"),
            ("198.18.7.9", 0, "0.0.0.0"),
            ("2001:db8::1:2", 120, "2001:db8::1:0"),
            ("2001:db8::1", 128, "2001:db8::1"),
            ("2001:db8::1", 255, "2001:db8::1"),
        ] {
            let found = network(address.parse().unwrap(), prefix);
            assert_eq!(found.to_string(), expected);
        }
    }
}
