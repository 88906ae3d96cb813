//! Two network name spaces with a wire between them.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

use super::netkit::send_from;
use super::rtnetlink::{
    CREATE, DATA, KIND, LINK_INFO, NET_NS_FD, NEW_LINK, UP, attribute, device, name, request,
};
use super::{lacks, root};

/// `VETH_INFO_PEER`
const PEER: u16 = 1;

/// A wire whose near end is in the name space of this thread.
pub(crate) struct Wire {
    far: File,
}

/// The near end of the wire.
pub(crate) const NEAR: &str = "near";
/// The far end.
pub(crate) const FAR: &str = "far";

/// Calls `test` as root in a new thread with a network name space of its own; all of it is gone
/// afterwards.
pub(crate) fn on_a_wire(test: impl FnOnce(&Wire) + Send) {
    if !root() {
        return;
    }
    let here = || {
        if let Some(wire) = Wire::create() {
            test(&wire);
        }
    };
    thread::scope(|scope| {
        let tested = scope.spawn(here).join();
        tested.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn new_name_space() -> File {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    request(NEW_LINK, 0, &[device(UP), name("lo")]).unwrap();
    File::open("/proc/thread-self/ns/net").unwrap()
}

impl Wire {
    fn create() -> Option<Self> {
        let far = thread::spawn(new_name_space).join().unwrap();
        new_name_space();
        let space = u32::try_from(far.as_raw_fd()).unwrap().to_ne_bytes();
        let peer = [device(0), name(FAR), attribute(NET_NS_FD, &space)].concat();
        let info = [
            attribute(KIND, b"veth\0"),
            attribute(DATA, &attribute(PEER, &peer)),
        ];
        let info = attribute(LINK_INFO, &info.concat());
        let made = request(NEW_LINK, CREATE, &[device(UP), name(NEAR), info]);
        if lacks(made == Err(Errno::EOPNOTSUPP), "veth") {
            return None;
        }
        made.unwrap();
        let wire = Self { far };
        wire.at_the_far_end(|| request(NEW_LINK, 0, &[device(UP), name(FAR)]).unwrap());
        Some(wire)
    }

    /// Calls this in the other name space.
    pub(crate) fn at_the_far_end<T: Send>(&self, call: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = || {
                setns(&self.far, CloneFlags::CLONE_NEWNET).unwrap();
                call()
            };
            scope.spawn(there).join().unwrap()
        })
    }

    /// A packet comes in at the near end.
    pub(crate) fn receive(&self) {
        self.at_the_far_end(|| send_from(FAR));
    }

    /// A packet goes out at the near end.
    pub(crate) fn send(&self) {
        send_from(NEAR);
    }
}

/// A packet from this name space to itself.
pub(crate) fn packet_to_self() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    socket.recv(&mut [0; 8]).unwrap();
}
