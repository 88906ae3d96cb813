//! What a program prints: its standard output and its errors.

use std::io::{self, Read};
use std::os::fd::AsFd;

use purebpf_syscall::prog_stream_read;

use super::Program;

/// What a program has printed to one of its two streams (6.17), and nobody has read yet. The end is
/// where nothing more was printed so far; reading goes on later.
#[derive(Clone, Debug)]
pub struct ProgramStream {
    program: Program,
    number: u32,
}

impl Program {
    /// What it printed, by `bpf_stream_printk`.
    #[doc(alias = "bpf_prog_stream_read")]
    #[doc(alias = "BPF_STREAM_STDOUT")]
    #[must_use]
    pub fn stdout(&self) -> ProgramStream {
        self.stream(1)
    }

    /// What it printed as errors, and what the kernel found wrong with it while it ran: a fault in an
    /// arena, a loop without an end.
    #[doc(alias = "BPF_STREAM_STDERR")]
    #[must_use]
    pub fn stderr(&self) -> ProgramStream {
        self.stream(2)
    }

    fn stream(&self, number: u32) -> ProgramStream {
        ProgramStream {
            program: self.clone(),
            number,
        }
    }
}

impl Read for ProgramStream {
    /// # Errors
    /// `EINVAL` before Linux 6.17, and what the kernel says.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        prog_stream_read(self.program.as_fd(), self.number, buffer)
            .map_err(|error| io::Error::from_raw_os_error(error.raw_os_error()))
    }
}
