//! The `purebpf` program.
//!
//! ```text
//! plan/     purebpf plan: what would be loaded, without a kernel
//! load.rs   purebpf load: what the kernel says to each program
//! feature.rs  purebpf feature: what the running kernel supports
//! btf/      purebpf btf: types printed, merged, made smaller
//! gen/      purebpf gen: what is built into other programs
//! run/      purebpf run: load, attach, and show what arrives
//! attach/   purebpf attach, detach: programs attached, also where no section says
//! attached/ purebpf net, cgroup, perf: what is attached where
//! target.rs the kernels that plans are made for
//! source.rs where BTF comes from
//! report/   what went wrong, shown as a compiler shows an error
//! stop.rs   when a command that goes on ends
//! print.rs  output: tables, lines, errors
//! ```

#![forbid(unsafe_code)]

mod attach;
mod attached;
mod btf;
mod feature;
mod r#gen;
mod load;
mod plan;
mod print;
mod report;
mod run;
mod source;
mod stop;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "purebpf",
    version,
    about = "BPF objects: run, plan and load them"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load an object, attach its programs, and show what arrives in its ring buffers
    ///
    /// Without a file: every process that starts a program and every one that exits.
    Run(run::Arguments),
    /// Load an object and attach its programs, until Ctrl-C or as pinned links
    Attach(attach::Arguments),
    /// Detach what pinned links keep attached, and remove the pins
    Detach(attach::DetachArguments),
    /// Show what exactly would be loaded: maps and final instructions; needs no privileges
    Plan(plan::Arguments),
    /// Load an object, or each of its programs by itself, and show what the kernel says
    Load(load::Arguments),
    /// Show what the running kernel supports: features, types of programs and maps, helpers
    Feature(feature::Arguments),
    /// Show what is attached to network devices and to the network name space
    Net(attached::net::Arguments),
    /// Show what is attached to cgroups
    Cgroup(attached::cgroup::Arguments),
    /// Show which processes hold programs attached by perf events and raw tracepoints, and where
    Perf(attached::perf::Arguments),
    /// Print, check and combine BTF, the types of the kernel and of objects
    Btf(btf::Arguments),
    /// Make sources and data of objects, to be built into programs
    Gen(r#gen::Arguments),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let with_log = match &command {
        Command::Run(arguments) => arguments.log,
        Command::Attach(arguments) => arguments.log,
        _ => false,
    };
    let result = match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Attach(arguments) => attach::run(&arguments),
        Command::Detach(arguments) => attach::detach(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Feature(arguments) => feature::run(&arguments),
        Command::Net(arguments) => attached::net::run(&arguments),
        Command::Cgroup(arguments) => attached::cgroup::run(&arguments),
        Command::Perf(arguments) => attached::perf::run(&arguments),
        Command::Btf(arguments) => btf::run(&arguments),
        Command::Gen(arguments) => r#gen::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        // Whoever reads the output may stop reading.
        Err(error) if print::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error, with_log);
            ExitCode::FAILURE
        }
    }
}
