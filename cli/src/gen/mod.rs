//! `purebpf gen`: sources and data made of objects, to be built into programs.
//!
//! ```text
//! loader.rs  loader programs (light skeletons)
//! source.rs  Rust literals
//! ```

mod loader;
mod source;

use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the load of an object as a BPF program and its data: a light skeleton
    Loader(loader::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Loader(arguments) => loader::run(arguments),
    }
}
