//! Infrared receivers: pulses and pauses become keys.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use purebpf_insn::AttachType;
use purebpf_syscall::AttachPoint;

use super::direct::{Direct, Point};
use super::query::{self, Attached, Tells};
use crate::{Error, Link, Program};

const KIND: &str = "infrared receiver";

/// An infrared receiver (4.18), for programs of type `lirc_mode2`. There are no links to it:
/// [`Link::disconnect`] lets the program stay, as long as the device is there.
#[doc(alias = "BPF_LIRC_MODE2")]
#[derive(Clone, Debug)]
pub struct Lirc {
    path: PathBuf,
}

impl Lirc {
    /// The receiver by its device, such as `/dev/lirc0`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Detaches a program, whoever attached it.
    ///
    /// # Errors
    /// `ENOENT` if it is not there, and what the kernel says.
    #[doc(alias = "bpf_prog_detach2")]
    pub fn detach(&self, program: &Program) -> Result<(), Error> {
        self.direct()?.detach(program)
    }

    /// The programs that are attached.
    ///
    /// # Errors
    /// What the kernel says: `EINVAL` for what is no receiver.
    #[doc(alias = "bpf_prog_query")]
    pub fn query(&self) -> Result<Attached, Error> {
        let device = self.open()?;
        let point = AttachPoint::Fd(device.as_fd());
        query::query(self, point, AttachType::LIRC_MODE2, Tells::Programs)
    }

    fn open(&self) -> Result<File, Error> {
        let mut options = File::options();
        let device = options.read(true).write(true).open(&self.path);
        device.map_err(Error::open(KIND, &self.path, false))
    }

    fn direct(&self) -> Result<Direct, Error> {
        let point = Point::Fd(Arc::new(self.open()?.into()));
        Ok(Direct::new(point, AttachType::LIRC_MODE2))
    }
}

impl fmt::Display for Lirc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND} {}", self.path.display())
    }
}

impl super::Target for Lirc {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        self.direct()?.attach(program, None, None)
    }
}
