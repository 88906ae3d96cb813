//! Test runs: a program on given data.

use std::os::fd::AsFd;
use std::time::Duration;

use purebpf_insn::ProgramType;
use purebpf_syscall::prog_test_run;

use super::Program;
use crate::Error;

/// What a program is run with; which parts it takes depends on its type.
#[doc(alias = "bpf_test_run_opts")]
#[derive(Clone, Debug, Default)]
pub struct TestRun {
    data: Vec<u8>,
    data_out: usize,
    context: Vec<u8>,
    context_out: usize,
    repeat: u32,
    flags: u32,
    cpu: u32,
    batch_size: u32,
}

/// `BPF_F_TEST_RUN_ON_CPU`
const ON_CPU: u32 = 1;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`
const LIVE_FRAMES: u32 = 2;
/// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`
const CHECKSUM_COMPLETE: u32 = 4;

/// What came out of a test run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestRunResult {
    /// What the program returned.
    pub return_value: u32,
    /// Mean time of a run.
    pub duration: Duration,
    /// The data afterwards, as far as room was asked for.
    pub data: Vec<u8>,
    /// The data did not fit and was cut.
    pub truncated: bool,
    /// The context afterwards, as far as room was asked for; whole for a program of type `SYSCALL`.
    pub context: Vec<u8>,
}

impl TestRun {
    /// A single run with no data.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Packet data; for programs of the network at least 14 bytes.
    #[must_use]
    pub fn data(self, data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            ..self
        }
    }

    /// Room, in bytes, for the data afterwards (5.0).
    #[must_use]
    pub fn data_out(self, data_out: usize) -> Self {
        Self { data_out, ..self }
    }

    /// The context: its arguments, for a program of tracing.
    #[must_use]
    pub fn context(self, context: &[u8]) -> Self {
        Self {
            context: context.to_vec(),
            ..self
        }
    }

    /// Room, in bytes, for the context afterwards.
    #[must_use]
    pub fn context_out(self, context_out: usize) -> Self {
        Self {
            context_out,
            ..self
        }
    }

    /// So many runs, to measure the time.
    #[must_use]
    pub fn repeat(self, repeat: u32) -> Self {
        Self { repeat, ..self }
    }

    /// On this CPU, for raw tracepoints (5.10).
    #[must_use]
    pub fn on_cpu(self, cpu: u32) -> Self {
        Self {
            cpu,
            flags: self.flags | ON_CPU,
            ..self
        }
    }

    /// The packet comes with its checksum, which the program has to keep right (6.11).
    #[must_use]
    pub fn checksum_complete(self) -> Self {
        Self {
            flags: self.flags | CHECKSUM_COMPLETE,
            ..self
        }
    }

    /// Packets are sent where an XDP program says, `batch_size` at a time (0 is 64) (5.18).
    #[must_use]
    pub fn live_frames(self, batch_size: u32) -> Self {
        Self {
            batch_size,
            flags: self.flags | LIVE_FRAMES,
            ..self
        }
    }
}

impl Program {
    /// Runs it on given data (4.12).
    ///
    /// # Errors
    /// `ENOTSUPP` for a type that cannot be run so, and what the kernel says.
    #[doc(alias = "bpf_prog_test_run_opts")]
    pub fn test_run(&self, run: &TestRun) -> Result<TestRunResult, Error> {
        let mut data = vec![0; run.data_out];
        let mut context = vec![0; run.context_out];
        let mut given = run.context.clone();
        let mut params = purebpf_syscall::TestRun {
            data_in: &run.data,
            data_out: &mut data,
            ctx_in: &mut given,
            ctx_out: &mut context,
            repeat: run.repeat,
            flags: run.flags,
            cpu: run.cpu,
            batch_size: run.batch_size,
        };
        let outcome = prog_test_run(self.as_fd(), &mut params)
            .map_err(Error::call(self, "run it on given data"))?;
        data.truncate(outcome.data_size as usize);
        context.truncate(outcome.ctx_size as usize);
        if self.program_type() == ProgramType::SYSCALL {
            // The kernel takes no other room for it.
            context = given;
        }
        Ok(TestRunResult {
            return_value: outcome.retval,
            duration: outcome.duration,
            data,
            truncated: outcome.truncated,
            context,
        })
    }
}
