//! Programs that were loaded for one function or hook of the kernel, by BTF id.

use std::os::fd::AsFd;

use purebpf_insn::{AttachType, ProgramType};
use purebpf_syscall::{
    AttachPoint, CallError, Errno, LinkCreate, LinkOptions, link_create, raw_tracepoint_open,
};

use super::section;
use crate::{Error, Link, Program};

/// What the program was loaded for: `fentry`, `fexit`, `fmod_ret`, `fsession`, `tp_btf`, `lsm`
/// (5.5, `fmod_ret` and `lsm` 5.7), or the function that it replaces (`freplace`, 5.6).
#[doc(alias = "bpf_program__attach_trace_opts")]
#[doc(alias = "bpf_program__attach_lsm")]
#[derive(Clone, Debug, Default)]
pub struct Trace {
    cookie: u64,
    target: Option<(Program, u32)>,
}

impl Trace {
    /// The target that the program was loaded for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What `bpf_get_attach_cookie` returns in the program (6.0).
    #[must_use]
    pub const fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// Another function instead (5.10): the one with this type id in the BTF of `program`. For
    /// extensions alone; the kernel refuses to move any other program (`EINVAL`).
    #[doc(alias = "bpf_program__attach_freplace")]
    #[must_use]
    pub fn function_of(self, program: &Program, btf_id: u32) -> Self {
        Self {
            target: Some((program.clone(), btf_id)),
            ..self
        }
    }

    /// Takes a section of any of these prefixes. What it names was looked up when the program was
    /// loaded, so that there is always a target.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let prefixes = [
            "fentry",
            "fexit",
            "fmod_ret",
            "fsession",
            "tp_btf",
            "freplace",
            "lsm",
            "fentry.s",
            "fexit.s",
            "fmod_ret.s",
            "fsession.s",
            "tp_btf.s",
            "lsm.s",
        ];
        section::target(section, &prefixes, "fentry/FUNCTION and the like")?;
        Ok(Some(Self::new()))
    }

    fn link(&self, program: &Program, attach_type: AttachType) -> Result<Link, CallError> {
        let target = self.target.as_ref();
        let fd = link_create(&LinkCreate {
            program: program.as_fd(),
            target: target.map_or(AttachPoint::None, |(it, _)| AttachPoint::Fd(it.as_fd())),
            attach_type,
            flags: 0,
            options: LinkOptions::Tracing {
                target_btf_id: target.map_or(0, |(_, id)| *id),
                cookie: self.cookie,
            },
        })?;
        Ok(Link::new(fd, program))
    }

    /// The older way: the kernel looks at what the program was loaded for, and nothing else.
    fn open(program: &Program) -> Result<Link, CallError> {
        raw_tracepoint_open(None, program.as_fd(), 0).map(|fd| Link::new(fd, program))
    }
}

impl super::Target for Trace {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let plain = self.cookie == 0 && self.target.is_none();
        let attach_type = match program.expected_attach_type() {
            // An extension has none.
            None if program.program_type() == ProgramType::EXT => Ok(AttachType::default()),
            known => super::create::attach_type(program, known),
        };
        let result = match attach_type {
            Ok(attach_type) => match self.link(program, attach_type) {
                Err(error) if error.errno() == Errno::EINVAL && plain => Self::open(program),
                result => result,
            },
            // The kernel does not tell it of a program that was opened, and does not ask here.
            Err(_) if plain => Self::open(program),
            Err(error) => return Err(error),
        };
        result.map_err(Error::call(program, "attach it to what it was loaded for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_a_target() {
        for section in ["fentry/vfs_read", "tp_btf", "lsm.s/file_open", "freplace/f"] {
            assert!(Trace::from_section(section).unwrap().is_some(), "{section}");
        }
        assert!(Trace::from_section("freplace.s/f").is_err());
        assert!(Trace::from_section("fentry/").is_err());
    }
}
