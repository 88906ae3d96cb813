//! `purebpf btf`: BTF printed, compared, made smaller, made from objects.
//!
//! ```text
//! dump.rs    types as C, as lines, as JSON
//! diff.rs    what differs
//! encode.rs  DWARF as BTF
//! record.rs  a type as names and values, for lines and JSON
//! merge.rs   dedup and min: one BTF of several files
//! ```

mod diff;
mod dump;
mod encode;
mod merge;
mod record;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(clap::Args)]
#[command(after_help = crate::source::HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print types as C, as lines, or as JSON
    #[command(after_help = crate::source::HELP)]
    Dump(dump::Arguments),
    /// Check that BTF makes sense, as the kernel does before it takes it
    #[command(after_help = crate::source::HELP)]
    Check(dump::Check),
    /// Show what differs; the exit status is 1 if anything does
    #[command(after_help = crate::source::HELP)]
    Diff(diff::Arguments),
    /// Make BTF of the debug information (DWARF) of a program, as pahole does
    #[command(after_help = crate::source::HELP)]
    Encode(encode::Arguments),
    /// Put the BTF of several files together, each type once
    #[command(after_help = crate::source::HELP)]
    Dedup(merge::Dedup),
    /// Write the smallest BTF of a kernel that relocates given objects
    #[command(after_help = crate::source::HELP)]
    Min(merge::Min),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Dump(arguments) => dump::run(arguments)?,
        Command::Check(arguments) => dump::check(arguments)?,
        Command::Diff(arguments) => {
            if !diff::run(arguments)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Encode(arguments) => encode::run(arguments)?,
        Command::Dedup(arguments) => merge::dedup(arguments)?,
        Command::Min(arguments) => merge::min(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}
