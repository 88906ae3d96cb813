//! Development tasks, run as `cargo xtask TASK`.
//!
//! ```text
//! fixtures.rs  compiles the BPF objects that tests and the program carry
//! arch.rs      the machines that things are built and run for
//! kernels.rs   fetches Debian's kernels
//! modules.rs   modules of such a kernel
//! machine.rs   a virtual machine with one of them, and a job in it
//! vm.rs        the job: the privileged tests
//! table.rs     the job: both, and a table of what works on which kernel
//! musl.rs      static binaries, in a machine that has nothing else
//! vm_bench.rs  the job: the program of `bench/`
//! foreign.rs   tests of the pure crates on emulated machines
//! targets.rs   what compiles for which operating systems and machines
//! fuzz.rs      fuzzes everything that reads bytes; fuzz_report.rs  what came of it
//! supply.rs    dependencies, features, versions
//! api.rs       the public items
//! sanitize.rs  tests under a sanitizer;  miri.rs  under Miri
//! faults.rs    every system call of a load made to fail
//! ci.rs        everything that has to pass
//! run.rs       how other programs are started and installed
//! ```

mod api;
mod arch;
mod ci;
mod faults;
mod fixtures;
mod foreign;
mod fuzz;
mod fuzz_report;
mod kernels;
mod machine;
mod miri;
mod modules;
mod musl;
mod run;
mod sanitize;
mod supply;
mod table;
mod targets;
mod vm;
mod vm_bench;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of purebpf")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compile the BPF fixtures and write their manifest
    Fixtures {
        /// Only check that sources and objects are those of the manifest
        #[arg(long)]
        check: bool,
    },
    /// Run the privileged tests inside virtual machines
    Vm {
        /// 5.10, 6.1, 6.12, 6.18, 7.2, newest or all; may be repeated
        #[arg(long, default_value = "6.12")]
        kernel: Vec<String>,
        /// x86_64, aarch64 or s390x (big endian), which have kernels from 6.1 on
        #[arg(long, default_value = "x86_64")]
        machine: String,
        /// Only test binaries whose name contains this; may be repeated
        #[arg(long)]
        only: Vec<String>,
    },
    /// Run the tests on every kernel, the host's among them, and write `docs/kernels.md`
    KernelsTable {
        /// Only what has this name in the table, `6.12`, `host 6.18` or `s390x 7.2`, and the others
        /// as they were; may be repeated
        #[arg(long)]
        only: Vec<String>,
    },
    /// Compare every program and map of the fixtures with libbpf inside virtual machines
    VmCompare {
        /// As for `vm`
        #[arg(long, default_value = "6.12")]
        kernel: Vec<String>,
    },
    /// Run the program of `bench/` inside virtual machines
    VmBench {
        /// As for `vm`
        #[arg(long, default_value = "6.12")]
        kernel: Vec<String>,
        /// A folder of objects to take along, as `objects`
        #[arg(long)]
        objects: Option<PathBuf>,
        /// What it is to do; the fixtures are in `tests/bpf`
        #[arg(required = true, trailing_var_arg = true)]
        arguments: Vec<String>,
    },
    /// Fuzz everything that reads bytes
    Fuzz(fuzz::Arguments),
    /// Run the soak under a sanitizer
    Sanitize {
        /// address or thread
        sanitizer: String,
        /// Every test of the workspace instead, the privileged ones too
        #[arg(long)]
        all: bool,
    },
    /// Let every system call of the load of every fixture fail, with every error
    Faults {
        /// Only fixtures whose name contains this
        #[arg(long, default_value = "")]
        only: String,
        /// Leave out none of the calls that are made over and over in a row
        #[arg(long)]
        every: bool,
    },
    /// Run what Miri can run under it
    Miri,
    /// Run the tests of the crates that need no kernel on emulated machines
    Foreign {
        /// s390x (big endian) or aarch64; both if not given
        machine: Option<String>,
        /// Only this crate; may be repeated
        #[arg(short, long)]
        package: Vec<String>,
    },
    /// Check licences, dependencies, features, and the oldest compiler and versions that are allowed
    Supply {
        /// Only this check
        #[arg(long)]
        only: Option<String>,
    },
    /// Compare the public items of each crate with those in docs/api
    Api {
        /// Write them there
        #[arg(long)]
        keep: bool,
    },
    /// Build the program and the examples for musl, and run them in a machine without other files
    Musl {
        /// As for `vm`
        #[arg(long, default_value = "6.12")]
        kernel: String,
    },
    /// Check that all compiles for riscv64, and the crates that need no kernel for other systems
    Targets {
        /// One of them; all if not given
        target: Option<String>,
    },
    /// Run everything that has to pass
    Ci {
        /// Leave the virtual machines out
        #[arg(long)]
        no_vm: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Fixtures { check: true } => fixtures::check(),
        Task::Fixtures { check: false } => fixtures::build(),
        Task::Vm {
            kernel,
            machine,
            only,
        } => vm::run_on(arch::named(&machine)?, &kernel, &only),
        Task::KernelsTable { only } => table::write(&only),
        Task::VmCompare { kernel } => {
            let arguments = ["compare", "--jobs", "1", "tests/bpf"];
            vm_bench::run(&kernel, &arguments.map(str::to_owned), None)
        }
        Task::VmBench {
            kernel,
            objects,
            arguments,
        } => vm_bench::run(&kernel, &arguments, objects),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Supply { only } => supply::run(only.as_deref()),
        Task::Api { keep } => api::run(keep),
        Task::Faults { only, every } => faults::run(&only, every),
        Task::Miri => miri::run(),
        Task::Sanitize { sanitizer, all } => sanitize::run(&sanitizer, all),
        Task::Foreign { machine, package } => foreign::run(machine.as_deref(), &package),
        Task::Musl { kernel } => musl::run(&kernel),
        Task::Targets { target } => targets::run(target.as_deref()),
        Task::Ci { no_vm } => ci::run(!no_vm),
    }
}
