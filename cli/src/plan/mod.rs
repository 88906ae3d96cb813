//! `purebpf plan`: what would be loaded, here or on other kernels.
//!
//! ```text
//! one.rs   maps and programs of one object, as one kernel would get them
//! many.rs  which of many objects can be planned for which of many kernels
//! ```

mod many;
mod one;

use std::path::PathBuf;
use std::process::ExitCode;

use purebpf::ObjectSpec;
use purebpf::plan::ProgramPlan;

use crate::report::Report;
use crate::target::Target;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The object files; of several, or for several kernels, a table of which can be planned
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print JSON; instructions are hexadecimal digits of the bytes that the kernel would get, in its
    /// byte order
    #[arg(long, short)]
    json: bool,
    /// BTF of a kernel to plan for, as `purebpf btf` takes it; may be repeated. A version in the
    /// name of the file is that of the kernel [default: this machine's]
    #[arg(long)]
    btf: Vec<String>,
    /// A folder that describes a kernel to plan for; may be repeated. It has BTF in `vmlinux`, and
    /// may have `config` or `.config`, `kallsyms` or `System.map`, `release` with its version, and
    /// a folder `modules` with their BTF
    #[arg(long, value_name = "FOLDER")]
    kernel: Vec<PathBuf>,
    /// Print the final instructions of every program
    #[arg(long, conflicts_with = "json")]
    instructions: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut targets = Vec::new();
    for name in &arguments.btf {
        targets.push(Target::btf(name)?);
    }
    for folder in &arguments.kernel {
        targets.push(Target::folder(folder)?);
    }
    if targets.is_empty() {
        targets.push(Target::here());
    }
    match (&*arguments.files, &*targets) {
        ([file], [target]) => one::run(arguments, file, target),
        (files, targets) => many::run(files, targets, arguments.json),
    }
}

/// Programs that are left out by default are part of the picture as well. The result says which of
/// them are loaded otherwise.
fn load_all(spec: &mut ObjectSpec) -> Vec<bool> {
    let all = spec.programs_mut();
    all.map(|program| std::mem::replace(&mut program.autoload, true))
        .collect()
}

/// Why a program cannot be planned, and what of it must not be reached.
fn reports(program: &ProgramPlan) -> Vec<Report> {
    match program.check() {
        Err(error) => vec![Report::from(error)],
        Ok(code) => {
            let poisons = code.poisons.iter();
            poisons
                .map(|poison| Report::poison(program, code, poison))
                .collect()
        }
    }
}
