//! BTF that the kernel holds.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use purebpf_syscall::{
    BtfInfo, Errno, Log, ObjectKind, btf_data, btf_info, btf_load, duplicate, fd_by_id, raise,
};

use crate::error::boxed;
use crate::id::{expect_kind, open_all};
use crate::{BtfId, Error, Token};

/// BTF in the kernel: of an object, of the kernel itself or of a module. A clone is the same, and
/// dropping the last one closes it.
#[doc(alias = "bpf_btf_load")]
#[derive(Clone)]
pub struct BtfObject {
    fd: Arc<OwnedFd>,
}

/// Log lengths tried, bytes: the kernel cuts what does not fit, and tells so.
const LOG_SIZES: [usize; 3] = [64 << 10, 1 << 20, 16 << 20];

/// Runs `call`, and if it is refused once more for the log, with more and more room. Of level 1
/// and above, the log is asked for at once, and comes with the result.
pub(crate) fn with_log<T>(
    object: &dyn fmt::Display,
    operation: &'static str,
    level: u32,
    call: impl Fn(Option<&mut Log<'_>>) -> Result<T, purebpf_syscall::CallError>,
) -> Result<(T, String), Error> {
    let mut refused = None;
    if level == 0 {
        match call(None) {
            Ok(value) => return Ok((value, String::new())),
            Err(error) => refused = Some(error),
        }
    }
    let mut text = String::new();
    for size in LOG_SIZES {
        let mut buffer = vec![0; size];
        let mut log = Log::new(level.max(1), &mut buffer);
        let again = call(Some(&mut log));
        text = log.text();
        match again {
            Ok(value) => return Ok((value, text)),
            Err(error) => {
                let is_cut = error.errno() == Errno::ENOSPC;
                refused.get_or_insert(error);
                if !is_cut {
                    break;
                }
            }
        }
    }
    let Some(source) = refused else {
        return Err(Error::invalid(object, "there is no room for a log"));
    };
    if text.is_empty() {
        return Err(Error::call(object, operation)(source));
    }
    Err(Error::Rejected {
        object: boxed(object),
        log: text.into(),
        source,
    })
}

impl BtfObject {
    /// Hands BTF to the kernel (`BPF_BTF_LOAD`, 4.18).
    ///
    /// # Errors
    /// [`Error::Rejected`] with the kernel's log, or what else it says.
    pub fn load(data: &[u8], token: Option<&Token>) -> Result<Self, Error> {
        let token = token.map(AsFd::as_fd);
        let (fd, _) = with_log(&"BTF", "load it", 0, |log| btf_load(data, log, token))?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Opens the BTF with this id (4.18, `CAP_SYS_ADMIN`).
    ///
    /// # Errors
    /// `ENOENT` if it has gone, and what the kernel says.
    #[doc(alias = "bpf_btf_get_fd_by_id")]
    pub fn from_id(id: BtfId) -> Result<Self, Error> {
        let fd = fd_by_id(ObjectKind::Btf, id.0, 0)
            .map_err(Error::call(format_args!("BTF {id}"), "open it"))?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Takes over an fd of BTF.
    ///
    /// # Errors
    /// An fd of something else.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        expect_kind("BTF by fd", fd.as_fd(), ObjectKind::Btf)?;
        let fd = raise(fd).map_err(Error::call("BTF by fd", "move it"))?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Opens all BTF there is, by ascending id. What goes away meanwhile is left out, what cannot be opened
    /// is an error among the items.
    pub fn all() -> impl Iterator<Item = Result<Self, Error>> + Send + use<> {
        open_all(BtfId::all(), Self::from_id)
    }

    /// A new fd of the BTF, for whoever wants one of its own: a clone of the handle costs none. It is
    /// close-on-exec and above 2.
    ///
    /// # Errors
    /// The process may have no more fds.
    pub fn try_clone_fd(&self) -> Result<OwnedFd, Error> {
        duplicate(self.as_fd()).map_err(Error::call(self, "duplicate its fd"))
    }

    /// What the kernel tells of it: id, length, and for its own and modules' the name.
    ///
    /// # Errors
    /// `/proc` is not there.
    #[doc(alias = "bpf_btf_get_info_by_fd")]
    pub fn info(&self) -> Result<BtfInfo, Error> {
        btf_info(self.as_fd()).map_err(Error::call(self, "ask what it is"))
    }

    /// The data; that of a module builds on that of `vmlinux`.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn data(&self) -> Result<Vec<u8>, Error> {
        btf_data(self.as_fd()).map_err(Error::call(self, "read it"))
    }
}

impl AsFd for BtfObject {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for BtfObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match btf_info(self.as_fd()) {
            Ok(info) if !info.name.is_empty() => write!(f, "BTF `{}`", info.name),
            Ok(info) => write!(f, "BTF {}", info.id),
            Err(_) => f.write_str("BTF"),
        }
    }
}

impl fmt::Debug for BtfObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BtfObject")
            .field(&format_args!("{self}"))
            .finish()
    }
}
