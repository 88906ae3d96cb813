//! Attaching by `BPF_PROG_ATTACH`, without a link.

use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use purebpf_insn::AttachType;
use purebpf_syscall::{
    AttachPoint, CallError, Errno, ProgAttach, QueryMore, Relative, duplicate,
    in_network_namespace, network_namespace, prog_attach, prog_detach, prog_query,
};

use super::Place;
use crate::{Error, Link, Program};

/// A point to attach to, held so that it can be reached again from any thread.
#[derive(Clone, Debug)]
pub(super) enum Point {
    /// What an fd stands for.
    Fd(Arc<OwnedFd>),
    /// A network device of a name space, or with index 0 the name space itself.
    Device(u32, Arc<OwnedFd>),
}

impl Point {
    /// What another fd of `of` stands for.
    pub(super) fn fd(of: &(impl AsFd + ?Sized), name: &dyn Display) -> Result<Self, Error> {
        let fd = duplicate(of.as_fd()).map_err(Error::call(name, "hold it"))?;
        Ok(Self::Fd(Arc::new(fd)))
    }

    /// A device of the name space of this thread.
    pub(super) fn device(ifindex: u32, name: &dyn Display) -> Result<Self, Error> {
        let here = network_namespace().map_err(Error::call(name, "hold its name space"))?;
        Ok(Self::Device(ifindex, Arc::new(here)))
    }

    fn reach<T: Send>(
        &self,
        call: impl FnOnce(AttachPoint<'_>) -> Result<T, CallError> + Send,
    ) -> Result<T, CallError> {
        match self {
            Self::Fd(fd) => call(AttachPoint::Fd(fd.as_fd())),
            Self::Device(0, space) => {
                in_network_namespace(space.as_fd(), || call(AttachPoint::None))
            }
            Self::Device(index, space) => {
                in_network_namespace(space.as_fd(), || call(AttachPoint::Ifindex(*index)))
            }
        }
    }
}

/// A way of attaching to a point.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    pub(super) point: Point,
    pub(super) attach_type: AttachType,
    /// `BPF_F_*`
    pub(super) flags: u32,
    /// The point has one program, and forgets it whatever program it is told to forget.
    pub(super) is_forgetful: bool,
}

impl Direct {
    pub(super) fn new(point: Point, attach_type: AttachType) -> Self {
        Self {
            point,
            attach_type,
            flags: 0,
            is_forgetful: false,
        }
    }

    /// Attaches; the link detaches the program, if it is still there.
    pub(super) fn attach(
        self,
        program: &Program,
        replace: Option<&Program>,
        place: Option<&Place>,
    ) -> Result<Link, Error> {
        /// `BPF_F_REPLACE`
        const REPLACE: u32 = 1 << 2;
        let place_flags = place.map_or(0, Place::flags);
        let flags = self.flags | place_flags | if replace.is_some() { REPLACE } else { 0 };
        let attach = |target: AttachPoint<'_>| {
            let params = ProgAttach {
                target,
                attach_type: self.attach_type,
                flags,
                replace: replace.map(AsFd::as_fd),
                relative: place.map_or(Relative::None, Place::relative),
                expected_revision: place.map_or(0, Place::revision),
            };
            prog_attach(program.as_fd(), &params)
        };
        let attached = self.point.reach(attach);
        attached.map_err(Error::call(program, "attach it"))?;
        let ours = program.clone();
        Link::unlinked(program, Some(program), move || {
            if self.is_forgetful && !self.has(&ours)? {
                return Ok(());
            }
            match self.detach(&ours) {
                // The point is gone, or the program is.
                Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::ENODEV)) => {
                    Ok(())
                }
                result => result,
            }
        })
    }

    /// Detaches a program, whoever attached it.
    pub(super) fn detach(&self, program: &Program) -> Result<(), Error> {
        let detach = |target: AttachPoint<'_>| {
            let params = ProgAttach {
                target,
                attach_type: self.attach_type,
                flags: 0,
                replace: None,
                relative: Relative::None,
                expected_revision: 0,
            };
            prog_detach(Some(program.as_fd()), &params)
        };
        let detached = self.point.reach(detach);
        detached.map_err(Error::call(program, "detach it"))
    }

    fn has(&self, program: &Program) -> Result<bool, Error> {
        let ask =
            |target: AttachPoint<'_>| prog_query(target, self.attach_type, 0, QueryMore::default());
        match self.point.reach(ask) {
            Err(error) if error.errno() == Errno::ENOENT => Ok(false),
            // Before 4.15 the kernel cannot be asked.
            Err(error) if error.errno() == Errno::EINVAL => Ok(true),
            found => {
                let found = found.map_err(Error::call(program, "look where it is attached"))?;
                let id = program.id().0;
                Ok(found.entries.iter().any(|entry| entry.program_id == id))
            }
        }
    }
}
