//! Attaching to sockets, and to maps of them, on the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use common::attached::runs_while_attached;
use common::{count, counter, counting, fail, load, load_for, older_than, root, since};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt::ReusePort,
};
use purebpf_handles::attach::{Lirc, Socket, Sockmap};
use purebpf_handles::{Errno, Error, LinkDetails, Map, MapAttributes, Program, UpdateFlags};
use purebpf_insn::{AttachType, LinkType, MapType, ProgramType};

/// A map of one socket, and both ends of its connection: that socket and the other one.
struct Connection {
    map: Map,
    near: TcpStream,
    far: TcpStream,
}

impl Connection {
    fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        for end in [&near, &far] {
            end.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        }
        let map = Map::create(&MapAttributes::new(MapType::SOCKMAP, 4, 4, 1)).unwrap();
        Self { map, near, far }
    }

    /// Puts the socket into the map, which thereby takes its programs.
    fn join(&self) {
        let fd = self.near.as_raw_fd().to_ne_bytes();
        let key = 0_u32.to_ne_bytes();
        let joined = self.map.update(&key, &fd, UpdateFlags::ANY);
        joined.unwrap_or_else(|error| fail(&error));
    }

    /// The socket says something, and the other one hears it.
    fn say(&self) {
        (&self.near).write_all(b"x").unwrap();
        (&self.far).read_exact(&mut [0]).unwrap();
    }
}

/// A program that counts, and lets through what is said (`SK_PASS`).
fn passing(map: &Map) -> Program {
    let how = AttachType::SK_MSG_VERDICT;
    load_for(ProgramType::SK_MSG, how, counting(map, 1))
}

/// Sends with and without the program. A socket has the programs that its map had when it joined.
fn hears_what_is_said(target: &Sockmap, connection: &Connection) {
    let counted = counter();
    let program = passing(&counted);
    let link = program.attach(target).unwrap_or_else(|error| fail(&error));
    connection.join();
    connection.say();
    let seen = count(&counted);
    assert_ne!(seen, 0);
    link.detach().unwrap();
    let key = 0_u32.to_ne_bytes();
    assert!(connection.map.delete(&key).unwrap());
    connection.say();
    assert_eq!(count(&counted), seen);
}

#[test]
fn a_program_of_a_map_of_sockets_hears_what_they_say() {
    if !root() {
        return;
    }
    let connection = Connection::open();
    // By a link where there are links.
    hears_what_is_said(&Sockmap::new(&connection.map), &connection);
    let direct = Sockmap::new(&connection.map).without_link();
    hears_what_is_said(&direct, &connection);
}

#[test]
fn a_link_to_a_map_of_sockets_tells_which() {
    if !root() || older_than(6, 10, "sockmap links") {
        return;
    }
    let map = Map::create(&MapAttributes::new(MapType::SOCKMAP, 4, 4, 1)).unwrap();
    let link = passing(&counter()).attach(Sockmap::new(&map)).unwrap();
    let info = link.info().unwrap();
    let expected = LinkDetails::Sockmap {
        map_id: map.id().0,
        attach_type: AttachType::SK_MSG_VERDICT,
    };
    assert_eq!(
        (info.link_type, info.details),
        (LinkType::SOCKMAP, expected)
    );
}

#[test]
fn a_map_of_sockets_has_one_program_of_a_kind_and_the_newest_counts() {
    if !root() {
        return;
    }
    let map = Map::create(&MapAttributes::new(MapType::SOCKMAP, 4, 4, 1)).unwrap();
    let programs = [(); 2].map(|()| passing(&counter()));
    let point = || {
        let point = Sockmap::new(&map).without_link();
        point.attach_type(AttachType::SK_MSG_VERDICT)
    };
    let is = |expected: &[&Program]| {
        if since(5, 18) {
            let found = point().query().unwrap().programs;
            let found = found.iter().map(|entry| entry.program);
            assert!(found.eq(expected.iter().map(|program| program.id())));
        }
    };
    let first = programs[0].attach(point()).unwrap();
    is(&[&programs[0]]);
    let second = programs[1].attach(point()).unwrap();
    drop(first);
    is(&[&programs[1]]);
    second.disconnect();
    drop(second);
    is(&[&programs[1]]);
    let error = point().detach(&programs[0]).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    point().detach(&programs[1]).unwrap();
    is(&[]);
}

/// A socket on a port of 127.0.0.1 that others may have as well; 0 is any port.
fn sharing(port: u16) -> UdpSocket {
    let (family, kind) = (AddressFamily::Inet, SockType::Datagram);
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, ReusePort, &true).unwrap();
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    bind(fd.as_raw_fd(), &SockaddrIn::from(address)).unwrap();
    fd.into()
}

fn send_to(receiver: &UdpSocket) {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = receiver.local_addr().unwrap();
    sender.send_to(b"x", address).unwrap();
}

#[test]
fn a_filter_decides_what_a_socket_hears() {
    if !root() {
        return;
    }
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let map = counter();
    // Nothing is kept.
    let program = load(ProgramType::SOCKET_FILTER, counting(&map, 0));
    let target = Socket::filter(&receiver).unwrap();
    runs_while_attached(&program, &target, &map, || send_to(&receiver));
    let hears = || {
        while receiver.recv(&mut [0; 8]).is_ok() {}
        send_to(&receiver);
        receiver.recv(&mut [0; 8]).is_ok()
    };
    assert!(hears());
    let link = program.attach(&target).unwrap();
    assert!(!hears());
    link.disconnect();
    drop(link);
    assert!(!hears());
    target.detach().unwrap();
    assert!(hears());
    assert_eq!(target.detach().unwrap_err().errno(), Some(Errno::ENOENT));
}

#[test]
fn a_socket_is_held_open_by_what_is_attached_to_it() {
    if !root() {
        return;
    }
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = receiver.local_addr().unwrap();
    let program = load(ProgramType::SOCKET_FILTER, counting(&counter(), 0));
    let target = Socket::filter(&receiver).unwrap();
    let link = program.attach(&target).unwrap();
    drop((receiver, target));
    assert!(UdpSocket::bind(address).is_err());
    drop(link);
    UdpSocket::bind(address).unwrap();
}

#[test]
fn a_program_chooses_among_the_sockets_of_a_port() {
    if !root() {
        return;
    }
    let sockets = sharing(0);
    let port = sockets.local_addr().unwrap().port();
    let sockets = [sockets, sharing(port)];
    for socket in &sockets {
        socket.set_nonblocking(true).unwrap();
    }
    let map = counter();
    let target = Socket::reuseport(&sockets[0]).unwrap();
    // A filter says the number of the socket.
    for chosen in [0, 1] {
        let program = load(ProgramType::SOCKET_FILTER, counting(&map, chosen));
        let _link = program.attach(&target).unwrap();
        for _ in 0..4 {
            send_to(&sockets[0]);
        }
        let heard = sockets.each_ref().map(|socket| {
            let mut heard = 0;
            while socket.recv(&mut [0; 8]).is_ok() {
                heard += 1;
            }
            heard
        });
        let expected = if chosen == 0 { [4, 0] } else { [0, 4] };
        assert_eq!(heard, expected);
    }
    if !since(5, 3) {
        return;
    }
    // SK_PASS without a choice: the kernel chooses.
    let how = AttachType::SK_REUSEPORT_SELECT;
    let program = load_for(ProgramType::SK_REUSEPORT, how, counting(&map, 1));
    runs_while_attached(&program, &target, &map, || send_to(&sockets[0]));
}

#[test]
fn what_is_no_socket_takes_no_program() {
    if !root() {
        return;
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    let program = load(ProgramType::SOCKET_FILTER, counting(&counter(), 0));
    let target = Socket::filter(&file.as_fd()).unwrap();
    let error = program.attach(target).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOTSOCK));
}

#[test]
fn what_is_no_infrared_receiver_takes_no_program() {
    if !root() {
        return;
    }
    let nothing = Lirc::new("/dev/null");
    let error = nothing.query().unwrap_err();
    assert!(error.errno().is_some(), "{error}");
    let text = error.to_string();
    assert!(text.contains("infrared receiver /dev/null"), "{text}");
    let missing = Lirc::new("/dev/lirc-of-nobody").query().unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    assert_eq!(missing.errno(), Some(Errno::ENOENT));
}
