//! `purebpf btf encode`: the debug information of a program as BTF.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use purebpf::btf::dwarf::{Functions, Languages, Options, Report, Variables, encode};

use crate::{print, source};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// An ELF file with DWARF: a program, a vmlinux, a kernel module, a BPF object
    file: PathBuf,
    /// The file to write
    #[arg(long, short)]
    output: PathBuf,
    /// The BTF to continue: of the kernel, for a module
    #[arg(long)]
    base: Option<String>,
    /// Threads, 0 for as many as there are processors
    #[arg(long, short, default_value_t = 0)]
    jobs: usize,
    /// All global variables, and not just per-CPU ones
    #[arg(long)]
    all_variables: bool,
    /// All functions, also those whose parameters cannot be relied on
    #[arg(long)]
    all_functions: bool,
    /// Functions that the compiler changed (`name.isra.0`) by their plain names, as recent kernels have it
    #[arg(long)]
    optimized_functions: bool,
    /// Units in all languages, and not just C and its like
    #[arg(long)]
    all_languages: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.file;
    let start = Instant::now();
    let file = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let bar = progress()?;
    let shown = bar.clone();
    let mut options = Options::new()
        .threads(arguments.jobs)
        .optimized_functions(arguments.optimized_functions)
        .progress(move |progress| {
            shown.set_length(progress.total as u64);
            shown.set_position(progress.done as u64);
        });
    if let Some(base) = &arguments.base {
        options = options.base(source::btf(base, None)?);
    }
    if arguments.all_variables {
        options = options.variables(Variables::All);
    }
    if arguments.all_functions {
        options = options.functions(Functions::All);
    }
    if arguments.all_languages {
        options = options.languages(Languages::All);
    }
    let encoded = encode(&file, &options);
    bar.finish_and_clear();
    let encoded = encoded.with_context(|| format!("encoding the types of {}", path.display()))?;
    let bytes = encoded.btf.to_bytes(encoded.endian);
    std::fs::write(&arguments.output, &bytes)
        .with_context(|| format!("writing {}", arguments.output.display()))?;
    tell(&encoded.report);
    print::line(&format!(
        "{} units: {} types, {} functions, {} variables, {} bytes in {:.1} s",
        encoded.report.units,
        encoded.btf.own_ids().count(),
        encoded.report.functions.encoded,
        encoded.report.variables,
        bytes.len(),
        start.elapsed().as_secs_f64(),
    ))
}

/// A bar that only people see.
fn progress() -> anyhow::Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} units, {eta} left")?;
    Ok(ProgressBar::new(0).with_style(style))
}

/// What was left out.
fn tell(report: &Report) {
    const SHOWN: usize = 10;
    for unit in report.skipped.iter().take(SHOWN) {
        print::note(&format!("left out: {}: {}", unit.name, unit.reason));
    }
    if let Some(more @ 1..) = report.skipped.len().checked_sub(SHOWN) {
        print::note(&format!("left out: {more} more units"));
    }
    let functions = &report.functions;
    for (count, why) in [
        (functions.inconsistent, "functions with several prototypes"),
        (functions.ambiguous, "functions at several addresses"),
        (functions.reordered, "functions with reordered parameters"),
        (
            functions.displaced,
            "functions with parameters in other registers",
        ),
        (functions.optimized, "functions without some parameters"),
        (report.opaque, "structs' members, which BTF cannot express"),
        (report.dangling, "references to what is no type"),
    ] {
        if count > 0 {
            print::note(&format!("left out: {count} {why}"));
        }
    }
}
