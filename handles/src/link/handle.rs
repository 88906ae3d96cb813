//! The handle of a link.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purebpf_syscall::perf::perf_event_disable;
use purebpf_syscall::{
    Errno, LinkInfo, ObjectKind, duplicate, iter_create, link_detach, link_info, link_update,
    raise, retire,
};

use super::{LegacyProbe, Unlinked};
use crate::id::expect_kind;
use crate::object::object;
use crate::pin::Pin;
use crate::{Error, LinkId, Map, Program};

/// A program that is attached: a clone is the same link, and dropping the last one detaches, unless
/// it is pinned.
///
/// A link holds all that its attachment needs (perf event, probe in tracefs, program), so it does not
/// matter what else is dropped, or in which order.
#[doc(alias = "bpf_link")]
#[must_use = "dropping the last clone detaches"]
#[derive(Clone)]
pub struct Link(Arc<Shared>);

// The fields go in this order: the link first, then the event that it is on, then the probe.
struct Shared {
    fd: OwnedFd,
    event: Event,
    probe: Mutex<Option<LegacyProbe>>,
    rest: Mutex<Rest>,
    program: Option<Program>,
    detached: Mutex<bool>,
    pin: Pin,
}

/// What else is attached, and what is to go after that.
#[derive(Default)]
struct Rest {
    links: Vec<Link>,
    held: Option<Box<dyn Send + Sync>>,
}

/// The perf event of a link.
pub(crate) enum Event {
    /// It has none.
    None,
    /// It is under the link, with an fd of its own.
    Under(OwnedFd),
    /// There is no link; the fd is the program's, or that of a struct_ops map.
    Unlinked(Unlinked),
    /// It is the "link" itself: before 5.15, events got their program by ioctl.
    Itself,
}

const NO_LINK: &str = "it is attached without a link of the kernel's";

/// Links that are to stay until the process ends.
static KEPT: Mutex<Vec<Link>> = Mutex::new(Vec::new());

impl Link {
    /// A link by its fd, which is of `program`.
    pub(crate) fn new(fd: OwnedFd, program: &Program) -> Self {
        Self::with_event(fd, Event::None, None, Some(program.clone()))
    }

    pub(crate) fn with_event(
        fd: OwnedFd,
        event: Event,
        probe: Option<LegacyProbe>,
        program: Option<Program>,
    ) -> Self {
        Self(Arc::new(Shared {
            fd,
            event,
            probe: Mutex::new(probe),
            rest: Mutex::default(),
            program,
            detached: Mutex::new(false),
            pin: Pin::default(),
        }))
    }

    /// Lets the link stand for others as well, and hold something that is dropped once all of them
    /// are detached.
    pub(crate) fn holding(self, links: Vec<Self>, held: impl Send + Sync + 'static) -> Self {
        if !links.is_empty() {
            self.0.pin.refuse("it is several links, one for each place");
        }
        *self.rest() = Rest {
            links,
            held: Some(Box::new(held)),
        };
        self
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.0.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something attached without a link of the kernel's, until `undo` is called.
    pub(crate) fn unlinked(
        object: &(impl AsFd + fmt::Display),
        program: Option<&Program>,
        undo: impl FnMut() -> Result<(), Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let unlinked = Unlinked::new(undo);
        let fd = duplicate(object.as_fd()).map_err(Error::call(object, "hold it"))?;
        let this = Self::with_event(fd, Event::Unlinked(unlinked), None, program.cloned());
        this.0.pin.refuse(NO_LINK);
        Ok(this)
    }

    /// The fd of the link, if it is one to the kernel.
    fn kernel_link(&self) -> Result<BorrowedFd<'_>, Error> {
        match self.0.event {
            Event::Unlinked(_) => Err(Error::invalid(self, NO_LINK)),
            _ => Ok(self.as_fd()),
        }
    }

    fn known_pin(&self) -> &Pin {
        &self.0.pin
    }

    pub(crate) fn take(fd: OwnedFd, pin: Pin, object: &dyn fmt::Display) -> Result<Self, Error> {
        expect_kind(object, fd.as_fd(), ObjectKind::Link)?;
        Ok(Self(Arc::new(Shared {
            fd: raise(fd).map_err(Error::call(object, "move its fd"))?,
            event: Event::None,
            probe: Mutex::new(None),
            rest: Mutex::default(),
            program: None,
            detached: Mutex::new(false),
            pin,
        })))
    }

    /// What the kernel tells of it (5.8): type, id, program, and what it is attached to.
    ///
    /// # Errors
    /// A perf event or raw tracepoint of an older kernel is no link in the kernel's sense (`EINVAL`),
    /// nor is what was attached without one.
    #[doc(alias = "bpf_link_get_info_by_fd")]
    pub fn info(&self) -> Result<LinkInfo, Error> {
        link_info(self.kernel_link()?).map_err(Error::call(self, "ask what it is"))
    }

    /// Id.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn id(&self) -> Result<LinkId, Error> {
        Ok(LinkId(self.info()?.id))
    }

    /// The program that was attached; `None` for a link that was opened.
    #[must_use]
    pub fn program(&self) -> Option<&Program> {
        self.0.program.as_ref()
    }

    /// Detaches now, for all clones; once more does nothing.
    ///
    /// Where the kernel can, even a pinned link is detached (`BPF_LINK_DETACH`, 5.9: cgroup, XDP,
    /// tcx, netkit, network name space, struct_ops); a perf event is stopped. Any other link is
    /// detached by being closed, and [`AsFd`] then gives an fd of nothing.
    ///
    /// # Errors
    /// A pinned link that is detached only by being closed: [`Self::unpin`] it first; and what the
    /// kernel says.
    #[doc(alias = "bpf_link__detach")]
    #[doc(alias = "bpf_link__destroy")]
    pub fn detach(&self) -> Result<(), Error> {
        let shared = &*self.0;
        let mut detached = shared
            .detached
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *detached {
            return Ok(());
        }
        let failed = |error| Error::call(self, "detach it")(error);
        match &shared.event {
            Event::Under(event) => {
                perf_event_disable(event.as_fd()).map_err(failed)?;
                retire(&shared.fd).map_err(failed)?;
                retire(event).map_err(failed)?;
            }
            Event::Itself => {
                perf_event_disable(self.as_fd()).map_err(failed)?;
                retire(&shared.fd).map_err(failed)?;
            }
            Event::Unlinked(attached) => {
                attached.detach()?;
                retire(&shared.fd).map_err(failed)?;
            }
            Event::None => match link_detach(self.as_fd()) {
                Ok(()) => {}
                // EINVAL is of kernels that do not know the command, and of what is no link there.
                Err(error) if matches!(error.errno(), Errno::EOPNOTSUPP | Errno::EINVAL) => {
                    if self.is_pinned()? {
                        return Err(Error::invalid(
                            self,
                            "it is pinned, which keeps it attached",
                        ));
                    }
                    retire(&shared.fd).map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
            },
        }
        drop(
            shared
                .probe
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let mut rest = self.rest();
        while let Some(link) = rest.links.last() {
            link.detach()?;
            rest.links.pop();
        }
        rest.held = None;
        *detached = true;
        Ok(())
    }

    /// Keeps it attached until the process ends, even when all handles are dropped: one is held for
    /// the rest of the process. [`Self::detach`] still works, and [`Self::pin`] outlives the process.
    ///
    /// What is attached without a link of the kernel's (by netlink, to a socket, ...) stays even after
    /// the process, until somebody detaches it or its target is gone; no handle is held for it.
    #[doc(alias = "bpf_link__disconnect")]
    pub fn disconnect(&self) {
        if let Event::Unlinked(attached) = &self.0.event {
            return attached.stay();
        }
        KEPT.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.clone());
    }

    /// Puts another program in the place of the one attached, in one step, for links of cgroup, XDP,
    /// tcx, netkit, network name space, sockmap, iterators and others that the kernel can do that with.
    ///
    /// # Errors
    /// A program of another type, a link of a type that cannot, and what the kernel says.
    #[doc(alias = "bpf_link__update_program")]
    pub fn update_program(&self, program: &Program) -> Result<(), Error> {
        link_update(self.kernel_link()?, program.as_fd(), None)
            .map_err(Error::call(self, "update its program"))
    }

    /// As [`Self::update_program`], but only if `old` is the program attached now.
    ///
    /// # Errors
    /// `EPERM` if it is not, and as [`Self::update_program`].
    pub fn replace_program(&self, program: &Program, old: &Program) -> Result<(), Error> {
        link_update(self.kernel_link()?, program.as_fd(), Some(old.as_fd()))
            .map_err(Error::call(self, "update its program"))
    }

    /// Puts another struct_ops map in the place of the one attached (6.4).
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "bpf_link__update_map")]
    pub fn update_map(&self, map: &Map) -> Result<(), Error> {
        link_update(self.kernel_link()?, map.as_fd(), None)
            .map_err(Error::call(self, "update its map"))
    }

    /// Begins a walk of an iterator: what its program writes can be read from the file (5.8).
    ///
    /// # Errors
    /// A link of another type, and what the kernel says.
    #[doc(alias = "bpf_iter_create")]
    pub fn iterate(&self) -> Result<File, Error> {
        let fd = iter_create(self.kernel_link()?).map_err(Error::call(self, "begin a walk"))?;
        Ok(File::from(fd))
    }
}

object! {
    Link, LinkId, "link";
    /// Opens the link with this id (5.8, `CAP_SYS_ADMIN`).
    #[doc(alias = "bpf_link_get_fd_by_id")]
    from_id;
    #[doc(alias = "bpf_link__open")]
    from_pin;
    /// Pins it at `path`, in a bpffs, where it stays attached without this process; the directory is
    /// made if only its last part is missing. Nothing happens if it is there already.
    ///
    /// # Errors
    /// A path that is taken, that has a dot in its name or is not in a bpffs; a link that is pinned
    /// elsewhere already, or that is no link in the kernel's sense (a perf event before 5.15).
    #[doc(alias = "bpf_link__pin")]
    pin;
    #[doc(alias = "bpf_link__unpin")]
    unpin;
    is_pinned;
    #[doc(alias = "bpf_link__pin_path")]
    pin_path;
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.program {
            Some(program) => write!(f, "link of {program}"),
            None => f.write_str("link"),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("program", &self.0.program)
            .finish_non_exhaustive()
    }
}
