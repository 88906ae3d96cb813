//! purebpf beside its peers, on the same bytes and the same kernel.
//!
//! ```text
//! compare.rs  cargo run --release -- compare DIR: program by program against libbpf
//! libbpf.rs   what libbpf makes of an object
//! ours.rs     what purebpf makes of it
//! report.rs   both sides' results, and how they differ
//! ```

mod compare;
mod libbpf;
mod ours;
mod report;

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
    },
    /// One object, results as JSON
    One {
        /// The object
        file: PathBuf,
    },
    /// Load one object once, for a profiler to count
    Load {
        /// Who loads it
        #[arg(value_enum)]
        who: Who,
        /// The object
        file: PathBuf,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Who {
    /// Nobody: what the process itself costs
    Nobody,
    Libbpf,
    Purebpf,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Compare { folder, jobs } => compare::run(&folder, jobs),
        Command::One { file } => {
            let report = report::Report {
                file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                libbpf: libbpf::results(&file),
                ours: ours::results(&file),
            };
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
        Command::Load { who: Who::Nobody, .. } => Ok(()),
        Command::Load { who: Who::Libbpf, file } => libbpf::load_whole(&file),
        Command::Load { who: Who::Purebpf, file } => ours::load_whole(&file),
    }
}
