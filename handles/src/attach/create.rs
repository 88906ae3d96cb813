//! Making a link, and saying so if the kernel is too old for it.

use std::os::fd::AsFd;

use purebpf_insn::AttachType;
use purebpf_syscall::host::{KernelVersion, release};
use purebpf_syscall::{AttachPoint, Errno, LinkCreate, LinkOptions, link_create};

use crate::{Error, Link, Program};

/// A link, before it is made.
pub(super) struct NewLink<'a> {
    pub(super) target: AttachPoint<'a>,
    pub(super) attach_type: AttachType,
    pub(super) flags: u32,
    pub(super) options: LinkOptions<'a>,
    /// The first kernel that has such links, and their name with that version.
    pub(super) since: (KernelVersion, &'static str),
}

impl NewLink<'_> {
    pub(super) fn create(&self, program: &Program) -> Result<Link, Error> {
        let params = LinkCreate {
            program: program.as_fd(),
            target: self.target,
            attach_type: self.attach_type,
            flags: self.flags,
            options: self.options,
        };
        let (since, feature) = self.since;
        match link_create(&params) {
            Ok(fd) => Ok(Link::new(fd, program)),
            // An older kernel does not know the command, the attach type or the options.
            Err(error)
                if error.errno() == Errno::EINVAL
                    && release().is_ok_and(|running| running < since) =>
            {
                Err(Error::unsupported(program, feature))
            }
            Err(error) => Err(Error::call(program, "attach it by a link")(error)),
        }
    }
}

/// How a program is to be attached: as `given`, or else as it was loaded for.
pub(super) fn attach_type(
    program: &Program,
    given: Option<AttachType>,
) -> Result<AttachType, Error> {
    given.or(program.expected_attach_type()).ok_or_else(|| {
        let what = "the kernel does not tell what it was loaded to be attached as; set it";
        Error::invalid(program, what)
    })
}
