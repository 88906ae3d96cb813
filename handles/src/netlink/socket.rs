//! A socket of netlink that asks and waits for the answers.

use std::fmt;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_sys::SocketAddr;
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use purebpf_syscall::{CallError, Errno};

use super::message::{Answer, Attributes, Request};

/// A socket to the network name space that its thread was in when it was opened, wherever it is used.
pub(crate) struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
}

/// Why the kernel refused a request by netlink, in its own words if it has any (4.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetlinkError {
    call: CallError,
    words: Option<Box<str>>,
}

impl NetlinkError {
    /// The type of the message and the error number.
    #[must_use]
    pub const fn call(&self) -> CallError {
        self.call
    }

    /// The kernel's own words.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.words.as_deref()
    }

    pub(crate) const fn errno(&self) -> Errno {
        self.call.errno()
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.call)?;
        self.words().map_or(Ok(()), |words| write!(f, ": {words}"))
    }
}

impl std::error::Error for NetlinkError {}

impl From<CallError> for NetlinkError {
    fn from(call: CallError) -> Self {
        Self { call, words: None }
    }
}

/// `nlmsghdr`, the header that an error repeats of the request.
const HEADER: usize = 16;
/// `NLMSGERR_ATTR_MSG`
const WORDS: u16 = 1;

impl Socket {
    /// To devices, routes and traffic control.
    pub(crate) fn route() -> Result<Self, CallError> {
        Self::open(NETLINK_ROUTE)
    }

    /// To families that have names.
    pub(crate) fn generic() -> Result<Self, CallError> {
        Self::open(NETLINK_GENERIC)
    }

    fn open(protocol: isize) -> Result<Self, CallError> {
        const CALL: &str = "netlink socket";
        let open = || {
            let mut socket = netlink_sys::Socket::new(protocol)?;
            socket.bind_auto()?;
            // Words for what is refused; before 4.12 there are none.
            drop(socket.set_ext_ack(true).and(socket.set_cap_ack(true)));
            io::Result::Ok(socket)
        };
        let socket = open().map_err(|error| CallError::io(CALL, &error))?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Sends a request and returns what comes before the kernel says that it has done it.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Vec<Answer>, NetlinkError> {
        let call = request.kind.name;
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = request.flags | NLM_F_REQUEST | NLM_F_ACK;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let kernel = SocketAddr::new(0, 0);
        again(call, || self.socket.send_to(&bytes, &kernel, 0))?;
        let mut answers = Vec::new();
        loop {
            // The request was carried out while it was sent: whoever does not read the answer does not
            // know what there is to be undone.
            let (bytes, sender) = again(call, || self.socket.recv_from_full())?;
            // Only the kernel is believed.
            let is_kernel = sender.port_number() == 0;
            if is_kernel && take(call, self.sequence, &bytes, &mut answers)? {
                return Ok(answers);
            }
        }
    }
}

/// Tries what may fail for want of memory, or by a signal, a few times. After an overrun (`ENOBUFS`)
/// there may be no answer to wait for.
fn again<T>(
    call: &'static str,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> Result<T, CallError> {
    const MORE: usize = 3;
    let mut failures = 0;
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let error = CallError::io(call, &error);
                if failures == MORE || error.errno() == Errno::ENOBUFS {
                    return Err(error);
                }
                failures += 1;
            }
            Ok(done) => return Ok(done),
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

/// Takes the answers to a request out of what was received; whether that was all.
pub fn take(
    call: &'static str,
    sequence: u32,
    mut bytes: &[u8],
    answers: &mut Vec<Answer>,
) -> Result<bool, NetlinkError> {
    while !bytes.is_empty() {
        let message = NetlinkMessage::<Answer>::deserialize(bytes)
            .map_err(|_| CallError::from_raw(call, Errno::EBADMSG as i32))?;
        let length = message.header.length as usize;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        if message.header.sequence_number != sequence {
            continue;
        }
        let has_words = message.header.flags & NLM_F_ACK_TLVS != 0;
        let (code, after) = match &message.payload {
            NetlinkPayload::InnerMessage(_) | NetlinkPayload::Noop => (None, &[][..]),
            NetlinkPayload::Overrun(_) => (Some(-(Errno::ENOBUFS as i32)), &[][..]),
            NetlinkPayload::Done(done) => (Some(done.code), &done.extended_ack[..]),
            NetlinkPayload::Error(error) => (
                Some(error.raw_code()),
                error.header.get(HEADER..).unwrap_or_default(),
            ),
            _ => (None, &[][..]),
        };
        match code {
            Some(0) => return Ok(true),
            Some(code) => {
                let words = has_words.then(|| Attributes::new(after).text(WORDS));
                return Err(NetlinkError {
                    call: CallError::from_raw(call, code.saturating_neg()),
                    words: words.filter(|words| !words.is_empty()).map(Into::into),
                });
            }
            None => {}
        }
        if let NetlinkPayload::InnerMessage(answer) = message.payload {
            answers.push(answer);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::io;

    use purebpf_syscall::Errno;

    use super::again;

    #[test]
    fn what_fails_for_a_moment_is_tried_again_and_an_overrun_is_not() {
        let fails_twice = |errno: Errno| {
            let mut errors = vec![errno, Errno::EINTR, errno];
            again("a call", move || match errors.pop() {
                Some(errno) => Err(io::Error::from_raw_os_error(errno as i32)),
                None => Ok(()),
            })
        };
        assert_eq!(
            fails_twice(Errno::ENOMEM).map_err(|error| error.errno()),
            Ok(())
        );
        assert_eq!(
            fails_twice(Errno::ENOBUFS).map_err(|error| error.errno()),
            Err(Errno::ENOBUFS)
        );
        let always = || io::Result::<()>::Err(io::Error::from_raw_os_error(Errno::EPERM as i32));
        assert_eq!(
            again("a call", always).map_err(|error| error.errno()),
            Err(Errno::EPERM)
        );
    }
}
