//! Cgroups: who is in one, and what programs see of what is done there.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::{Mutex, PoisonError};

use nix::sys::socket::{getsockopt, setsockopt, sockopt::ReusePort};
use purebpf_insn::{AttachType, ProgramType};

use super::Group;

/// Does something in a cgroup, in which this process is for so long, and in no other.
pub(crate) fn inside<T>(group: &Group, act: impl FnOnce() -> T) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    group.enter(true);
    let done = act();
    group.enter(false);
    done
}

/// Everything that programs of cgroups can see.
pub(crate) fn do_everything() {
    std::fs::read("/proc/sys/kernel/ostype").unwrap();
    File::open("/dev/null").unwrap();
    let mut buffer = [0; 8];
    for address in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ] {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        let here = socket.local_addr().unwrap();
        socket.send_to(b"x", here).unwrap();
        socket.recv_from(&mut buffer).unwrap();
        setsockopt(&socket, ReusePort, &true).unwrap();
        assert!(getsockopt(&socket, ReusePort).unwrap());
        socket.connect(here).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), here);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let path = std::env::temp_dir().join(format!("purebpf-test-socket-{}", std::process::id()));
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.send_to(b"x", &path).unwrap();
    socket.recv_from(&mut buffer).unwrap();
    socket.local_addr().unwrap();
    socket.connect(&path).unwrap();
    socket.peer_addr().unwrap();
    let stream = UnixListener::bind(path.with_extension("stream")).unwrap();
    UnixStream::connect(path.with_extension("stream")).unwrap();
    drop((socket, stream));
    for path in [path.with_extension("stream"), path] {
        std::fs::remove_file(path).unwrap();
    }
}

/// Every attach type that is not of LSM, with its type of programs and the first kernel that has it.
pub(crate) const KINDS: &[(ProgramType, &[AttachType], (u32, u32))] = &[
    (
        ProgramType::CGROUP_SKB,
        &[
            AttachType::CGROUP_INET_INGRESS,
            AttachType::CGROUP_INET_EGRESS,
        ],
        (5, 7),
    ),
    (
        ProgramType::CGROUP_SOCK,
        &[
            AttachType::CGROUP_INET_SOCK_CREATE,
            AttachType::CGROUP_INET4_POST_BIND,
            AttachType::CGROUP_INET6_POST_BIND,
        ],
        (5, 7),
    ),
    (
        ProgramType::CGROUP_SOCK,
        &[AttachType::CGROUP_INET_SOCK_RELEASE],
        (5, 9),
    ),
    (
        ProgramType::SOCK_OPS,
        &[AttachType::CGROUP_SOCK_OPS],
        (5, 7),
    ),
    (
        ProgramType::CGROUP_DEVICE,
        &[AttachType::CGROUP_DEVICE],
        (5, 7),
    ),
    (
        ProgramType::CGROUP_SYSCTL,
        &[AttachType::CGROUP_SYSCTL],
        (5, 7),
    ),
    (
        ProgramType::CGROUP_SOCKOPT,
        &[AttachType::CGROUP_GETSOCKOPT, AttachType::CGROUP_SETSOCKOPT],
        (5, 7),
    ),
    (
        ProgramType::CGROUP_SOCK_ADDR,
        &[
            AttachType::CGROUP_INET4_BIND,
            AttachType::CGROUP_INET6_BIND,
            AttachType::CGROUP_INET4_CONNECT,
            AttachType::CGROUP_INET6_CONNECT,
            AttachType::CGROUP_UDP4_SENDMSG,
            AttachType::CGROUP_UDP6_SENDMSG,
            AttachType::CGROUP_UDP4_RECVMSG,
            AttachType::CGROUP_UDP6_RECVMSG,
            AttachType::CGROUP_INET4_GETPEERNAME,
            AttachType::CGROUP_INET6_GETPEERNAME,
            AttachType::CGROUP_INET4_GETSOCKNAME,
            AttachType::CGROUP_INET6_GETSOCKNAME,
        ],
        (5, 8),
    ),
    (
        ProgramType::CGROUP_SOCK_ADDR,
        &[
            AttachType::CGROUP_UNIX_CONNECT,
            AttachType::CGROUP_UNIX_SENDMSG,
            AttachType::CGROUP_UNIX_RECVMSG,
            AttachType::CGROUP_UNIX_GETPEERNAME,
            AttachType::CGROUP_UNIX_GETSOCKNAME,
        ],
        (6, 7),
    ),
];
