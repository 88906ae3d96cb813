//! Loading inside a user name space, by the token of a bpffs that delegates the right to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "../handles/tests/common/mod.rs"]
mod common;
mod support;

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use purebpf::handles::Token;
use purebpf::{Loader, RunningKernel};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};
use support::open;

const SOCKET: &str = "PUREBPF_TEST_SOCKET";

/// What the bpffs delegates; hexadecimal masks of all there is.
const DELEGATED: [&str; 4] = [
    "delegate_cmds",
    "delegate_maps",
    "delegate_progs",
    "delegate_attachs",
];

/// Runs the test below in a user name space, which only a process with a single thread can enter.
#[test]
fn a_token_lets_a_user_name_space_load() {
    if !common::root() || common::older_than(6, 9, "tokens") {
        return;
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(&theirs, rustix::io::FdFlags::empty()).unwrap();
    let mut child = Command::new("unshare")
        .arg("-Urm")
        .arg(std::env::current_exe().unwrap())
        .args(["inside", "--exact", "--ignored", "--test-threads=1"])
        .env(SOCKET, theirs.as_raw_fd().to_string())
        .spawn()
        .unwrap();
    drop(theirs);
    // Only who may do anything in the initial name space can say what is delegated.
    let bpffs = receive(&ours);
    for option in DELEGATED {
        fsconfig_set_string(bpffs.as_fd(), option, "any").unwrap();
    }
    fsconfig_create(bpffs.as_fd()).unwrap();
    ours.write_all(b"!").unwrap();
    assert!(child.wait().unwrap().success());
}

fn receive(socket: &UnixStream) -> OwnedFd {
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(std::os::fd::RawFd);
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::empty(),
    )
    .unwrap();
    let fds = message.cmsgs().unwrap().find_map(|message| match message {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    // SAFETY: the fd was received just now, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(fds.unwrap()) }
}

#[test]
#[ignore = "run by the test above"]
fn inside() {
    let Some(socket) = std::env::var_os(SOCKET) else {
        return;
    };
    let socket = socket.to_string_lossy().parse().unwrap();
    // SAFETY: whoever started this process passed the fd, and nobody else uses it.
    let mut socket = unsafe { UnixStream::from_raw_fd(socket) };

    // Without a token there is no right.
    let spec = open("choices.bpf.o");
    let loader = Loader::new().without_token();
    let error = loader.load(&spec).unwrap_err();
    println!("{error}");

    let bpffs = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    let fds = [bpffs.as_raw_fd()];
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(b"!")],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    socket.read_exact(&mut [0]).unwrap();
    let mounted = fsmount(
        bpffs.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )
    .unwrap();
    // In the name space of its own, the usual place is free.
    let usual = Path::new("/sys/fs/bpf");
    move_mount(
        mounted.as_fd(),
        "",
        rustix::fs::CWD,
        usual,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .unwrap();

    let token = Token::from_bpffs(usual).unwrap();
    let kernel = RunningKernel::with_token(&token);
    // The same by an fd of its own, and it does not need the first.
    let token = Token::from_fd(token.try_clone_fd().unwrap()).unwrap();
    for loader in [Loader::new().without_token().token(&token), Loader::new()] {
        let mut spec = spec.clone();
        spec.load_only(["uses_first", "uses_second"]).unwrap();
        let object = loader.load(&spec).unwrap();
        assert_eq!(object.programs().count(), 2);
    }
    use purebpf::plan::{Feature, TargetKernel as _};
    assert!(kernel.has(Feature::BtfEnum64) && kernel.has(Feature::MemcgAccount));
}
