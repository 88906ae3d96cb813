//! Tracepoints.

use purebpf_syscall::perf::{PerfEventOpen, PerfKind, Sampling, Wakeup, perf_event_open};

use super::perf::{EventOptions, OpenEvent, attach_event};
use super::section;
use crate::{Error, Link, Program, tracefs};

/// A tracepoint (4.7), for programs of type tracepoint. Its id is read from tracefs.
#[doc(alias = "bpf_program__attach_tracepoint_opts")]
#[derive(Clone, Debug)]
pub struct Tracepoint {
    category: String,
    name: String,
    cookie: u64,
}

impl Tracepoint {
    /// The tracepoint `category/name`: `sched`, `sched_process_exec`.
    #[must_use]
    pub fn new(category: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            category: category.into(),
            name: name.into(),
            cookie: 0,
        }
    }

    /// What `bpf_get_attach_cookie` returns in the program (5.15).
    #[must_use]
    pub const fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// What `tp/CATEGORY/NAME` names; `None` for `tp` alone.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let expected = "tp/CATEGORY/NAME";
        let prefixes = ["tp", "tp.s", "tracepoint", "tracepoint.s"];
        match section::target(section, &prefixes, expected)? {
            None => Ok(None),
            Some(target) => match target.split_once('/') {
                Some((category, name)) => Ok(Some(Self::new(category, name))),
                None => Err(Error::section(section, expected)),
            },
        }
    }
}

impl super::Target for Tracepoint {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let id = tracefs::event_id(&format!("{}/{}", self.category, self.name))?;
        let fd = perf_event_open(&PerfEventOpen {
            kind: PerfKind::Tracepoint(id),
            sampling: Sampling::None,
            sample_type: 0,
            wakeup: Wakeup::Half,
            pid: None,
            // The program runs on every CPU; the event just has to be somewhere.
            cpu: Some(0),
        })
        .map_err(Error::call(program, "open a perf event for its tracepoint"))?;
        let options = EventOptions {
            cookie: self.cookie,
            ..EventOptions::default()
        };
        attach_event(program, OpenEvent { fd, probe: None }, options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names_category_and_name() {
        for section in ["tp/sched/sched_switch", "tracepoint.s/sched/sched_switch"] {
            let found = Tracepoint::from_section(section).unwrap().unwrap();
            assert_eq!((&*found.category, &*found.name), ("sched", "sched_switch"));
        }
        assert!(Tracepoint::from_section("tracepoint").unwrap().is_none());
        assert!(Tracepoint::from_section("tp/sched").is_err());
        assert!(Tracepoint::from_section("tp/").is_err());
        assert!(Tracepoint::from_section("raw_tp/x").is_err());
    }
}
