//! How much work it is to load an object, each loader in a process of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;

use crate::Who;

/// The objects measured: one that needs nothing of the kernel's BTF, and one that does.
const OBJECTS: [&str; 2] = ["minimal.bpf.o", "core57.bpf.o"];

struct Row {
    who: Who,
    instructions: u64,
    times: Vec<Duration>,
}

/// One that is too large to be kept: 5,000 relocations.
pub const COMPILED: &str = "many.bpf.c";

/// Prints one table: instructions in user space, and time from start to end of the process.
pub fn run(runs: usize) -> anyhow::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = here.join("../tests/bpf");
    let mut objects = OBJECTS.map(|name| fixtures.join(name)).to_vec();
    objects.extend(compile(COMPILED, &[])?);
    println!("object          loader      instructions  without process  of libbpf's    time, ms");
    for path in objects {
        let object = path.file_name().unwrap_or_default().to_string_lossy();
        let rows = measure(&path, runs)?;
        let of = |who: Who| {
            rows.iter()
                .find(|row| row.who == who)
                .map_or(0, |row| row.instructions)
        };
        for row in &rows {
            let own = row.instructions.saturating_sub(of(Who::Nobody));
            let part = row.instructions as f64 / of(Who::Libbpf) as f64;
            let name = row.who.to_possible_value().context("a loader has a name")?;
            println!(
                "{object:<14}  {:<10}  {:>12}  {own:>15}  {part:>11.3}  {:>10.2}",
                name.get_name(),
                row.instructions,
                median(&row.times).as_secs_f64() * 1e3,
            );
        }
    }
    Ok(())
}

/// The object of a source of ours, unless there is no compiler.
pub fn compile(name: &str, arguments: &[String]) -> anyhow::Result<Option<PathBuf>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = here.join("bpf").join(name);
    let object = std::env::temp_dir().join(Path::new(name).with_extension("o"));
    let status = Command::new("clang-19")
        .args(["-g", "-O2", "--target=bpf", "-mcpu=v3", "-I"])
        .arg(here.join("../tests/bpf"))
        .args(arguments)
        .args(["-I/usr/include/x86_64-linux-gnu", "-c"])
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .status();
    let Ok(status) = status else {
        println!("{name} is left out: there is no clang-19");
        return Ok(None);
    };
    ensure!(status.success(), "{} does not compile", source.display());
    Ok(Some(object))
}

fn measure(object: &Path, runs: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for who in Who::value_variants() {
        let instructions = instructions(&load(*who, object, false))?;
        rows.push(Row {
            who: *who,
            instructions,
            times: Vec::new(),
        });
    }
    // In turns, so that whatever else the machine does hits all of them.
    for _ in 0..runs {
        for row in &mut rows {
            row.times.push(time(
                Command::new(itself()?).args(load(row.who, object, false)),
            )?);
        }
    }
    Ok(rows)
}

fn itself() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("the path of this program")
}

/// The arguments of this program that load an object, or only find out what to load of it.
pub fn load(who: Who, object: &Path, plan: bool) -> Vec<OsString> {
    let name = who.to_possible_value();
    let name = name.map(|value| value.get_name().into());
    ["load".into()]
        .into_iter()
        .chain(name)
        .chain([object.into()])
        .chain(plan.then(|| "--plan".into()))
        .collect()
}

/// Time from start to end of a process.
pub fn time(command: &mut Command) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status()?;
    let time = start.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(time)
}

/// Instructions in user space from the first of this program with these arguments to the last, as
/// valgrind counts them.
pub fn instructions(arguments: &[OsString]) -> anyhow::Result<u64> {
    count(&itself()?, arguments)
}

/// The same of any program, which has no input.
pub fn count(program: &Path, arguments: &[OsString]) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let output = command.output().context("starting valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {text}");
    let count = text.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = count.context("valgrind prints no count")?;
    count.trim().parse().context("the count of valgrind")
}

pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 if middle > 0 => (sorted[middle - 1] + sorted[middle]) / 2,
        _ => sorted.get(middle).copied().unwrap_or_default(),
    }
}
