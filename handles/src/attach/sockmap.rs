//! Sockmaps: what arrives at, or is sent by, the sockets in a map.

use std::os::fd::AsFd;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::create::{NewLink, attach_type};
use super::direct::{Direct, Point};
use super::query::{self, Attached, Tells};
use crate::{Error, Link, Map, Program};

/// A map of type sockmap or sockhash, for programs of types `sk_skb` and `sk_msg`: by a link (6.10),
/// or else by `BPF_PROG_ATTACH` (4.14), in the place of a program that is there.
#[doc(alias = "bpf_program__attach_sockmap")]
#[derive(Clone, Debug)]
pub struct Sockmap {
    map: Map,
    attach_type: Option<AttachType>,
    by_link: bool,
}

impl Sockmap {
    /// The sockets of this map.
    #[must_use]
    pub fn new(map: &Map) -> Self {
        Self {
            map: map.clone(),
            attach_type: None,
            by_link: true,
        }
    }

    /// How, if not as the program was loaded to be attached.
    #[must_use]
    pub const fn attach_type(mut self, attach_type: AttachType) -> Self {
        self.attach_type = Some(attach_type);
        self
    }

    /// By `BPF_PROG_ATTACH` also where the kernel has links: [`Link::disconnect`] lets the program
    /// stay, as long as the map is there.
    #[doc(alias = "bpf_prog_attach")]
    #[must_use]
    pub fn without_link(self) -> Self {
        Self {
            by_link: false,
            ..self
        }
    }

    /// Detaches a program that was attached without a link, whoever did it.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, and what the kernel says.
    #[doc(alias = "bpf_prog_detach2")]
    pub fn detach(&self, program: &Program) -> Result<(), Error> {
        self.direct(program)?.detach(program)
    }

    /// The program that is attached, as [`Self::attach_type`] says, which has to be set (5.18).
    ///
    /// # Errors
    /// No attach type, and what the kernel says.
    #[doc(alias = "bpf_prog_query")]
    pub fn query(&self) -> Result<Attached, Error> {
        let how = query::needed(&self.map, self.attach_type)?;
        let point = AttachPoint::Fd(self.map.as_fd());
        query::query(&self.map, point, how, Tells::Programs)
    }

    fn direct(&self, program: &Program) -> Result<Direct, Error> {
        let point = Point::fd(&self.map, &self.map)?;
        Ok(Direct::new(point, attach_type(program, self.attach_type)?))
    }
}

impl super::Target for Sockmap {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let direct = || self.direct(program)?.attach(program, None, None);
        if !self.by_link {
            return direct();
        }
        let link = NewLink {
            target: AttachPoint::Fd(self.map.as_fd()),
            attach_type: attach_type(program, self.attach_type)?,
            flags: 0,
            options: LinkOptions::None,
            since: ((6, 10, 0), "sockmap link (6.10)"),
        };
        match link.create(program) {
            Err(Error::Unsupported { .. }) => direct(),
            link => link,
        }
    }
}
