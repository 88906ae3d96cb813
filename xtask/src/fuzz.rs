//! Runs the fuzz targets, as many at a time as there are processors, each from the fixtures and what
//! earlier runs found.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, bail};

use crate::fuzz_report::{Row, failure, print, read};
use crate::run;

/// What an input may take: bytes, seconds, megabytes. The targets have narrower limits of their own;
/// these end what hangs, on a busy machine too.
const LIMITS: [&str; 3] = ["-max_len=65536", "-timeout=60", "-rss_limit_mb=1024"];

/// What is to be done.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only this target; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Leave the corpora as they have grown
    #[arg(long)]
    keep: bool,
    /// How many targets run at a time; as many as there are processors if not given
    #[arg(long)]
    jobs: Option<usize>,
    /// What chance begins with, so that a run can be had again; another each time if not given
    #[arg(long)]
    seed: Option<u32>,
}

impl Arguments {
    /// Every target for a moment, always the same: what a change did not break is no reason to refuse it.
    pub(crate) fn short() -> Self {
        Self {
            seconds: 20,
            only: Vec::new(),
            keep: true,
            jobs: None,
            seed: Some(1),
        }
    }
}

/// Fuzzes the targets, minimises what they grew, and says what came of it; a finding is an error.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    prepare()?;
    let all = run::output(cargo().args(["fuzz", "list", "--fuzz-dir=."]))?;
    let is_wanted = |name: &&str| {
        let only = &arguments.only;
        only.is_empty() || only.iter().any(|only| only == name)
    };
    let targets: Vec<&str> = all.lines().filter(is_wanted).collect();
    if targets.is_empty() || targets.len() < arguments.only.len() {
        bail!("no such target; there are {}", all.replace('\n', " "));
    }
    let programs = programs()?;
    let jobs = match arguments.jobs {
        Some(jobs) => jobs,
        None => std::thread::available_parallelism()?.get(),
    };
    let queue = Mutex::new(targets.iter());
    let next = || queue.lock().ok()?.next();
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let row = fuzz(&programs, target, arguments);
                    if let Ok(mut rows) = rows.lock() {
                        rows.push(row);
                    }
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap_or_default();
    let mut rows = rows.into_iter().collect::<anyhow::Result<Vec<Row>>>()?;
    rows.sort_by(|a, b| a.target.cmp(&b.target));
    print(&rows);
    let found: Vec<&str> = rows
        .iter()
        .filter(|row| !row.findings.is_empty())
        .map(|row| row.target.as_str())
        .collect();
    match found.is_empty() {
        true => Ok(()),
        false => bail!(
            "inputs that fail are in fuzz/artifacts: {}",
            found.join(", ")
        ),
    }
}

/// All that has to be there: compilers, the tool, inputs to begin with, the targets themselves.
fn prepare() -> anyhow::Result<()> {
    // The fuzzer itself is C++; libbpf is C, with two libraries.
    run::need(
        &[
            "g++",
            "make",
            "pkg-config",
            "/usr/include/libelf.h",
            "/usr/include/zlib.h",
        ],
        &["g++", "make", "pkg-config", "libelf-dev", "zlib1g-dev"],
    )?;
    let has_cargo_fuzz = run::output(cargo().args(["fuzz", "--version"])).is_ok();
    if !has_cargo_fuzz {
        run::check(cargo().args(["install", "--locked", "cargo-fuzz"]))?;
    }
    run::check(cargo().args(["run", "--quiet", "--example", "seeds", "corpus"]))?;
    run::check(cargo().args(["fuzz", "build", "--fuzz-dir=.", "--features=libbpf"]))
}

/// Where the targets are once they are built.
fn programs() -> anyhow::Result<PathBuf> {
    let about = run::output(run::command("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(given) => run::root().join(given),
        None => folder().join("target"),
    };
    let host = host.context("rustc does not say for which machine it is")?;
    Ok(target.join(host).join("release"))
}

fn folder() -> PathBuf {
    run::root().join("fuzz")
}

fn fuzz(programs: &Path, target: &str, arguments: &Arguments) -> anyhow::Result<Row> {
    let folder = folder();
    let corpus = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for made in [&corpus, &artifacts] {
        fs::create_dir_all(made).with_context(|| format!("making {}", made.display()))?;
    }
    let before = names(&artifacts)?;
    let mut command = program(programs, target);
    // New inputs go to the first folder; the second is only read.
    command.arg(&corpus);
    let seeds = folder.join("seeds").join(target);
    command.args(Some(seeds).filter(|seeds| seeds.exists()));
    let words = folder.join(format!("{target}.dict"));
    if words.exists() {
        command.arg(format!("-dict={}", words.display()));
    }
    command
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={}", arguments.seconds))
        .arg("-print_final_stats=1");
    command.args(arguments.seed.map(|seed| format!("-seed={seed}")));
    let log = run::cache("fuzz")?.join(format!("{target}.log"));
    let is_well = output_to(&mut command, &log)?;
    let mut findings: Vec<String> = names(&artifacts)?.difference(&before).cloned().collect();
    if findings.is_empty() && !is_well {
        findings.push(format!("see {}", log.display()));
    }
    if !arguments.keep {
        minimise(programs, target, &corpus)?;
    }
    let text = fs::read_to_string(&log).with_context(|| format!("reading {}", log.display()))?;
    let mut said = String::new();
    if !findings.is_empty() {
        said = failure(&text);
        // The machine may be gone before anybody takes the files from it.
        for finding in findings.iter().map(|name| artifacts.join(name)) {
            let is_file = finding.exists();
            let input = is_file.then(|| run::output(Command::new("base64").arg(finding)));
            said.extend(input.transpose()?.map(|input| format!("\n{input}")));
        }
    }
    Ok(Row {
        target: target.to_owned(),
        counts: read(&text),
        inputs: names(&corpus)?.len(),
        findings,
        said,
    })
}

/// Leaves of a corpus what reaches all that it reaches.
fn minimise(programs: &Path, target: &str, corpus: &Path) -> anyhow::Result<()> {
    let smaller = corpus.with_extension("smaller");
    // One that was interrupted may have left something.
    drop(fs::remove_dir_all(&smaller));
    fs::create_dir_all(&smaller)?;
    let mut command = program(programs, target);
    command.args(["-merge=1".as_ref(), smaller.as_os_str(), corpus.as_os_str()]);
    let log = run::cache("fuzz")?.join(format!("{target}.merge.log"));
    if output_to(&mut command, &log)? {
        fs::remove_dir_all(corpus)?;
        fs::rename(&smaller, corpus)?;
    }
    Ok(())
}

fn names(folder: &Path) -> anyhow::Result<HashSet<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    Ok(entries
        .map(|entry| entry.map(name))
        .collect::<Result<_, _>>()?)
}

/// A target with the limits of its inputs.
fn program(programs: &Path, target: &str) -> Command {
    let mut command = Command::new(programs.join(target));
    command.current_dir(folder()).args(LIMITS);
    // As cargo-fuzz has it: what is linked twice is no finding.
    command.env("ASAN_OPTIONS", "detect_odr_violation=0");
    command
}

/// Runs a command to its end with all that it says in a file; whether it ended well.
fn output_to(command: &mut Command, log: &Path) -> anyhow::Result<bool> {
    let file = File::create(log).with_context(|| format!("making {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("starting {name}"))?;
    Ok(status.success())
}

/// Cargo in the folder of the targets. They need flags that a stable compiler has but hides.
fn cargo() -> Command {
    let mut command = run::command("cargo");
    command.current_dir(folder()).env("RUSTC_BOOTSTRAP", "1");
    command
}
