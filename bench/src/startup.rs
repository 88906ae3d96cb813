//! How long it takes to start: programs that load an object from memory, attach it and exit, and the
//! same small questions to `purebpf` and to bpftool.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::size::{Build, LOADERS, bytes, compile, program};
use crate::speed::{count, median, time};

#[derive(clap::Args)]
pub struct Arguments {
    /// How many times each starts for the time, of which the median counts
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// A bpftool, best a static one, beside which `purebpf` is started
    #[arg(long)]
    bpftool: Option<PathBuf>,
}

/// The same question to both: what is asked, and how each is asked.
const QUESTIONS: [(&str, &[&str], &[&str]); 2] = [
    ("version", &["--version"], &["version"]),
    ("net", &["net"], &["net"]),
];

struct Row {
    name: String,
    program: PathBuf,
    arguments: &'static [&'static str],
    instructions: u64,
    times: Vec<Duration>,
}

/// Prints sizes, instructions in user space until the exit, and times from start to exit.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (build, how) in Build::ALL {
        for loader in LOADERS {
            rows.push(row(
                format!("{loader}, {how}"),
                program(loader, build)?,
                &[],
            )?);
        }
    }
    let purebpf = purebpf()?;
    for (what, ours, theirs) in QUESTIONS {
        rows.push(row(format!("purebpf {what}"), purebpf.clone(), ours)?);
        if let Some(bpftool) = &arguments.bpftool {
            rows.push(row(format!("bpftool {what}"), bpftool.clone(), theirs)?);
        }
    }
    // In turns, so that whatever else the machine does hits all of them.
    for _ in 0..arguments.runs {
        for row in &mut rows {
            let mut command = Command::new(&row.program);
            command.args(row.arguments);
            // What waits for input, ends at once.
            command.stdin(Stdio::null()).stderr(Stdio::null());
            row.times.push(time(&mut command)?);
        }
    }
    println!("{:<24}      bytes  instructions  time, ms", "program");
    for row in &rows {
        println!(
            "{:<24}  {:>9}  {:>12}  {:>8.2}",
            row.name,
            bytes(&row.program)?,
            row.instructions,
            median(&row.times).as_secs_f64() * 1e3,
        );
    }
    Ok(())
}

fn row(name: String, program: PathBuf, arguments: &'static [&'static str]) -> anyhow::Result<Row> {
    let all: Vec<OsString> = arguments.iter().map(Into::into).collect();
    Ok(Row {
        instructions: count(&program, &all)?,
        times: Vec::new(),
        name,
        program,
        arguments,
    })
}

/// The program as `cargo xtask musl` builds it.
fn purebpf() -> anyhow::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--release", "--locked"])
        .args(["-p", "purebpf-cli", "--manifest-path"])
        .arg(manifest);
    Ok(compile(&mut cargo, Build::Musl)?.join("release/purebpf"))
}
