//! Raw tracepoints.

use std::ffi::CString;
use std::os::fd::AsFd;

use purebpf_syscall::raw_tracepoint_open;

use super::section;
use crate::{Error, Link, Program};

/// A tracepoint without the copy of its arguments into a record (4.17), for programs of type
/// `raw_tracepoint`. The kernel knows it by name; tracefs is not needed.
#[doc(alias = "bpf_program__attach_raw_tracepoint_opts")]
#[derive(Clone, Debug)]
pub struct RawTracepoint {
    name: String,
    cookie: u64,
}

impl RawTracepoint {
    /// The tracepoint of this name, without a category: `sched_process_exec`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cookie: 0,
        }
    }

    /// What `bpf_get_attach_cookie` returns in the program (6.10).
    #[must_use]
    pub const fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// What `raw_tp/NAME` names; `None` for `raw_tp` alone.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let prefixes = [
            "raw_tp",
            "raw_tracepoint",
            "raw_tp.w",
            "raw_tracepoint.w",
            "raw_tp.s",
            "raw_tracepoint.s",
        ];
        Ok(section::target(section, &prefixes, "raw_tp/NAME")?.map(Self::new))
    }
}

impl super::Target for RawTracepoint {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let name = CString::new(&*self.name)
            .map_err(|_| Error::invalid(program, "the tracepoint's name has a zero byte inside"))?;
        let fd =
            raw_tracepoint_open(Some(&name), program.as_fd(), self.cookie).map_err(Error::call(
                format_args!("{program} at `{}`", self.name),
                "attach it to its raw tracepoint",
            ))?;
        Ok(Link::new(fd, program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names_the_tracepoint() {
        let found = RawTracepoint::from_section("raw_tracepoint.w/sys_enter")
            .unwrap()
            .unwrap();
        assert_eq!(found.name, "sys_enter");
        assert!(RawTracepoint::from_section("raw_tp").unwrap().is_none());
        assert!(RawTracepoint::from_section("raw_tp.x/a").is_err());
    }
}
