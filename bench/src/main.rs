//! purebpf beside its peers, on the same bytes and the same kernel.
//!
//! ```text
//! compare.rs  cargo run --release -- compare DIR: program by program against libbpf
//! plan.rs     cargo run --release -- plan DIR --btf FILES...: the same for other kernels, not loaded
//! broken/     cargo run --release -- break DIR: objects broken on purpose
//! kernel.rs   what the kernel says of maps and programs
//! known.rs    differences from libbpf that have a reason
//! speed.rs    cargo run --release -- speed: instructions and time to load an object
//! btf.rs      cargo run --release -- btf: instructions and time to read, search and merge BTF
//! read.rs     cargo run --release -- read FILES...: what both read of the same BTF
//! corpus.rs   cargo run --release -- corpus DIR: time to work out what to load of many objects
//! scale.rs    cargo run --release -- scale: instructions to plan 100 to 100,000 relocations
//! probes.rs   cargo run --release -- probes: what the kernel supports, as both find out
//! ring.rs     cargo run --release -- ring: records of ring buffers a second
//! maps.rs     cargo run --release -- maps: what access to elements costs, and batches
//! perf.rs     cargo run --release -- perf: records of perf buffers a second
//! size.rs     cargo run --release -- size: bytes of a minimal program
//! startup.rs  cargo run --release -- startup: what it costs to start it
//! dump.rs     cargo run --release -- dump [FILES...]: types as C and values as text against libbpf
//! light.rs    cargo run --release -- light FILES...: loader programs of both sides
//! libbpf.rs   what libbpf makes of an object; libbpf_dump.rs what it prints of types and values
//! ours.rs     what purebpf makes of it
//! peers.rs    libbpf-rs and aya
//! messages.rs what libbpf prints meanwhile
//! workers.rs  objects in processes of their own
//! reasons.rs  who refuses what, and why
//! report.rs   both sides' results, and how they differ
//! ```

mod attach;
mod attach_each;
mod broken;
mod btf;
mod compare;
mod corpus;
mod dump;
mod kernel;
mod known;
mod libbpf;
mod libbpf_dump;
mod light;
mod loaded;
mod maps;
mod messages;
mod ours;
mod peers;
mod perf;
mod pins;
mod plan;
mod probes;
mod read;
mod reasons;
mod report;
mod ring;
mod scale;
mod size;
mod speed;
mod startup;
mod workers;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open and load every object of a folder with libbpf and with purebpf, and list differences
    Compare {
        /// The folder
        folder: PathBuf,
        /// How many objects at once
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// Also list what loads with neither, and why
        #[arg(long)]
        neither: bool,
    },
    /// One object, results as JSON
    One {
        /// The object
        file: PathBuf,
    },
    /// Plan every object of a folder for other kernels, and list differences from libbpf
    Plan(plan::Arguments),
    /// The same for one object, results as JSON
    PlanOne {
        /// The object
        file: PathBuf,
        /// Files with raw BTF
        #[arg(long, num_args = 1..)]
        btf: Vec<PathBuf>,
        /// Every program by itself as well
        #[arg(long)]
        alone: bool,
    },
    /// Break objects on purpose, and list who refuses them before the kernel is asked, and why
    Break(broken::Arguments),
    /// A part of that, results as JSON
    BreakShare(broken::Share),
    /// Instructions and time of every loader, for two objects of the tests (needs valgrind)
    Speed {
        /// How many times each loads for the time, of which the median counts
        #[arg(long, default_value_t = 20)]
        runs: usize,
    },
    /// User time to work out what to load of every object of a folder
    Corpus {
        /// The folder
        folder: PathBuf,
        /// Only this one, in this process
        #[arg(long, value_enum)]
        by: Option<Who>,
    },
    /// Bytes of a minimal program with every loader, dynamic and static (needs musl-tools, and autoconf,
    /// automake, autopoint, bison, flex and gawk for libelf)
    Size,
    /// What it costs to start the same programs, and `purebpf` beside bpftool (needs valgrind as well)
    Startup(startup::Arguments),
    /// Instructions and time to read, search and merge BTF (needs valgrind)
    Btf {
        /// A folder of objects whose BTF is merged
        folder: Option<PathBuf>,
        /// How many times each is done for the time, of which the median counts
        #[arg(long, default_value_t = 20)]
        runs: usize,
    },
    /// Do one thing with BTF once, for a profiler to count
    BtfJob {
        /// Who does it
        #[arg(value_enum)]
        by: btf::By,
        /// What is done
        #[arg(value_enum)]
        job: btf::Job,
        /// A folder of objects
        folder: Option<PathBuf>,
    },
    /// Read BTF, and list what both sides see differently
    Read(read::Arguments),
    /// Print types as C and values as text, and list differences from libbpf
    Dump(dump::Arguments),
    /// Write loader programs of objects with libbpf and with purebpf, run them, and list differences
    Light {
        /// The objects
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// The same for one object, results as JSON
    LightOne {
        /// The object
        file: PathBuf,
    },
    /// Print all types of a file once, for a profiler to count
    Print {
        /// Who prints them
        #[arg(value_enum)]
        who: Who,
        /// BTF, raw or in an ELF file
        file: PathBuf,
        /// The BTF that it continues
        #[arg(long)]
        base: Option<PathBuf>,
    },
    /// Load one object once, for a profiler to count
    Load {
        /// Who loads it
        #[arg(value_enum)]
        who: Who,
        /// The object
        file: PathBuf,
        /// Only find out what to load: libbpf creates the maps for it
        #[arg(long)]
        plan: bool,
    },
    /// What the running kernel supports, and where both find out something else
    Probes,
    /// How long it takes to attach a program to many functions by name, and to detach it
    Attach(attach::Arguments),
    /// Attach every program of a folder to what its section says, and list who cannot
    AttachEach {
        /// The folder
        folder: PathBuf,
    },
    /// How fast the records of full ring buffers are consumed (needs clang-19)
    Ring {
        /// How many times each does it, of which the median counts
        #[arg(long, default_value_t = 15)]
        runs: usize,
    },
    /// Instructions of access to elements beside the system call, and the rate of batches (needs valgrind)
    Maps {
        /// How many times batches are read, of which the median counts
        #[arg(long, default_value_t = 25)]
        runs: usize,
    },
    /// Access elements again and again, for a profiler to count
    MapJob {
        /// Who does it
        #[arg(value_enum)]
        by: maps::By,
        /// What is done
        #[arg(value_enum)]
        job: maps::Job,
        /// How many times
        times: u32,
    },
    /// How fast the records of full perf buffers are consumed (needs clang-19)
    Perf {
        /// How many times each does it, of which the median counts
        #[arg(long, default_value_t = 15)]
        runs: usize,
    },
    /// How the work to plan an object grows with its relocations (needs valgrind and clang-19)
    Scale,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Who {
    /// Nobody: what the process itself costs
    Nobody,
    Libbpf,
    LibbpfRs,
    Aya,
    Purebpf,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Compare {
            folder,
            jobs,
            neither,
        } => compare::run(&folder, jobs, neither),
        Command::One { file } => compare::one(&file),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::PlanOne { file, btf, alone } => plan::one(&file, &btf, alone),
        Command::Break(arguments) => broken::run(&arguments),
        Command::BreakShare(share) => broken::share(&share),
        Command::Speed { runs } => speed::run(runs),
        Command::Btf { folder, runs } => btf::run(folder.as_deref(), runs),
        Command::BtfJob { by, job, folder } => btf::one(by, job, folder.as_deref()),
        Command::Corpus { folder, by: None } => corpus::run(&folder),
        Command::Corpus {
            folder,
            by: Some(who),
        } => corpus::one(who, &folder),
        Command::Size => size::run(),
        Command::Startup(arguments) => startup::run(&arguments),
        Command::Read(arguments) => read::run(&arguments),
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Light { files } => light::run(&files),
        Command::LightOne { file } => light::one(&file),
        Command::Print { who, file, base } => dump::print_all(who, &file, base.as_deref()),
        Command::Probes => probes::run(),
        Command::Attach(arguments) => attach::run(&arguments),
        Command::AttachEach { folder } => attach_each::run(&folder),
        Command::Ring { runs } => ring::run(runs),
        Command::Maps { runs } => maps::run(runs),
        Command::MapJob { by, job, times } => maps::one(by, job, times),
        Command::Perf { runs } => perf::run(runs),
        Command::Scale => scale::run(),
        Command::Load {
            who,
            file,
            plan: true,
        } => {
            let done = match who {
                Who::Nobody => true,
                Who::Libbpf | Who::LibbpfRs => libbpf::prepares(&file),
                Who::Aya => anyhow::bail!("Aya has no such stage"),
                Who::Purebpf => ours::plans(&file),
            };
            anyhow::ensure!(done, "{} cannot be planned", file.display());
            Ok(())
        }
        Command::Load { who, file, .. } => match who {
            Who::Nobody => Ok(()),
            Who::Libbpf => libbpf::load_whole(&file),
            Who::LibbpfRs => peers::libbpf_rs(&file),
            Who::Aya => peers::aya(&file),
            Who::Purebpf => ours::load_whole(&file),
        },
    }
}
