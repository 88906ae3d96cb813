//! Iterators: programs that walk objects of the kernel and write text about them.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, IterTarget, LinkOptions};

use super::create::NewLink;
use super::section;
use crate::{Error, Link, Map, Program};

/// What an iterator walks (5.8): the kind of object that the program was loaded for, all of them if
/// nothing is said. [`Link::iterate`] begins a walk.
#[doc(alias = "bpf_program__attach_iter")]
#[derive(Clone, Debug, Default)]
pub struct Iter {
    over: Over,
}

#[derive(Clone, Debug, Default)]
enum Over {
    #[default]
    All,
    Map(Map),
    Cgroup(u32, Arc<OwnedFd>),
    Task {
        tid: u32,
        pid: u32,
    },
}

impl Iter {
    /// All objects.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The elements of a map (5.9).
    #[must_use]
    pub fn map(map: &Map) -> Self {
        Self {
            over: Over::Map(map.clone()),
        }
    }

    /// Cgroups from the one whose directory is open, in an order of `enum bpf_cgroup_iter_order`: 1
    /// only it, 2 it before its descendants, 3 its descendants before it, 4 it and its ancestors (6.1).
    #[must_use]
    pub fn cgroup(directory: OwnedFd, order: u32) -> Self {
        Self {
            over: Over::Cgroup(order, Arc::new(directory)),
        }
    }

    /// One thread (6.1).
    #[must_use]
    pub const fn thread(tid: u32) -> Self {
        Self {
            over: Over::Task { tid, pid: 0 },
        }
    }

    /// The threads of one process (6.1).
    #[must_use]
    pub const fn process(pid: u32) -> Self {
        Self {
            over: Over::Task { tid: 0, pid },
        }
    }

    /// Takes `iter/KIND`: what it names was looked up when the program was loaded, so that there is
    /// always a target.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        section::target(section, &["iter", "iter.s"], "iter/KIND")?;
        Ok(Some(Self::new()))
    }
}

impl super::Target for Iter {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let options = match &self.over {
            Over::All => LinkOptions::None,
            Over::Map(map) => LinkOptions::Iter(IterTarget::Map(map.as_fd())),
            Over::Cgroup(order, fd) => LinkOptions::Iter(IterTarget::Cgroup {
                order: *order,
                cgroup: Some(fd.as_fd()),
            }),
            Over::Task { tid, pid } => LinkOptions::Iter(IterTarget::Task {
                tid: *tid,
                pid: *pid,
            }),
        };
        NewLink {
            target: AttachPoint::None,
            attach_type: AttachType::TRACE_ITER,
            flags: 0,
            options,
            since: ((5, 8, 0), "iterator link (5.8)"),
        }
        .create(program)
    }
}
