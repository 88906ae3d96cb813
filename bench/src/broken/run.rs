//! Both sides of so many broken objects, in processes that may crash.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use nix::sys::resource::{Resource, setrlimit};
use purebpf::RunningKernel;
use serde::{Deserialize, Serialize};

use super::edits::EDITS;
use super::image::Image;
use super::random::Random;
use crate::compare::difference;
use crate::reasons::Refusals;
use crate::report::{Failure, Side};
use crate::{libbpf, messages, ours, workers};

/// Seconds that one side may take for one object.
const PATIENCE: u32 = 20;

/// Bytes of memory that a process may have.
const MEMORY: u64 = 4 << 30;

#[derive(clap::Args)]
pub struct Arguments {
    /// Folders with objects to break
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// How many broken objects
    #[arg(long, default_value_t = 5000)]
    count: usize,
    /// Another seed makes other objects
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Keep what the sides disagree about in this folder
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// The part of the objects that one process does.
#[derive(clap::Args)]
pub struct Share {
    #[command(flatten)]
    arguments: Arguments,
    /// The first
    #[arg(long)]
    from: usize,
    /// Where the objects are written
    #[arg(long)]
    scratch: PathBuf,
}

/// What a process says.
#[derive(Serialize, Deserialize)]
enum Line {
    /// It is about to let a side see an object.
    Begin(usize, String, bool),
    Done(Row),
}

/// One broken object.
#[derive(Serialize, Deserialize)]
struct Row {
    what: String,
    edit: String,
    libbpf: Option<Failure>,
    ours: Option<Failure>,
    /// Of what both take.
    difference: Option<String>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("purebpf-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    if let Some(keep) = &arguments.keep {
        std::fs::create_dir_all(keep)?;
    }
    let shares: Vec<usize> = (0..arguments.jobs.max(1)).collect();
    let rows = std::thread::scope(|scope| {
        let start = |first: &usize| {
            let (first, folder) = (*first, &folder);
            scope.spawn(move || whole_share(arguments, first, folder))
        };
        let threads: Vec<_> = shares.iter().map(start).collect();
        let rows: Vec<anyhow::Result<Vec<Row>>> =
            threads.into_iter().map(|t| t.join().unwrap()).collect();
        rows.into_iter().collect::<anyhow::Result<Vec<_>>>()
    });
    std::fs::remove_dir_all(&folder)?;
    print(rows?.into_iter().flatten());
    Ok(())
}

/// All of the objects that begin at `first`, in as many processes as it takes.
fn whole_share(arguments: &Arguments, first: usize, folder: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut from = first;
    let scratch = folder.join(first.to_string());
    std::fs::create_dir_all(&scratch)?;
    while from < arguments.count {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("break-share").args(&arguments.folders);
        command.args(["--count", &arguments.count.to_string()]);
        command.args(["--seed", &arguments.seed.to_string()]);
        command.args(["--jobs", &arguments.jobs.to_string()]);
        command.args(["--from", &from.to_string()]);
        command.arg("--scratch").arg(&scratch);
        if let Some(keep) = &arguments.keep {
            command.arg("--keep").arg(keep);
        }
        let output = command.stderr(Stdio::null()).output()?;
        let mut begun = None;
        for line in output.stdout.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Begin(index, what, is_ours)) => begun = Some((index, what, is_ours)),
                Ok(Line::Done(row)) => rows.push(row),
                Err(_) => {}
            }
        }
        if output.status.success() {
            break;
        }
        let (index, what, is_ours) = begun.context("a process ended before its first object")?;
        let who = if is_ours { "purebpf" } else { "libbpf" };
        println!("CRASH {who}: {what}: {}", output.status);
        from = index + arguments.jobs.max(1);
    }
    Ok(rows)
}

fn print(rows: impl Iterator<Item = Row>) {
    let mut refusals = Refusals::default();
    let mut edits: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let (mut objects, mut taken, mut differ) = (0, 0, 0);
    for row in rows {
        objects += 1;
        refusals.add(&row.what, row.libbpf.as_ref(), row.ours.as_ref());
        let refused = |side: &Option<Failure>| side.as_ref().is_some_and(|f| !f.by_kernel);
        let counts = edits.entry(row.edit).or_default();
        counts[0] += 1;
        counts[1] += usize::from(refused(&row.libbpf));
        counts[2] += usize::from(refused(&row.ours));
        taken += usize::from(row.libbpf.is_none() && row.ours.is_none());
        if let Some(difference) = row.difference {
            differ += 1;
            println!("DIFFER {}: {difference}", row.what);
        }
    }
    refusals.print();
    println!("broken objects               {objects}");
    println!("taken by both                {taken}, {differ} planned otherwise");
    for (edit, [all, libbpf, ours]) in edits {
        println!("{edit:<36} {all}, refused by libbpf {libbpf}, by purebpf {ours}");
    }
}

/// What both sides make of an object.
fn both(path: &Path, begin: impl Fn(bool)) -> (Side, Side) {
    nix::unistd::alarm::set(PATIENCE);
    begin(false);
    let theirs = libbpf::prepared(path, None, None);
    nix::unistd::alarm::set(PATIENCE);
    begin(true);
    (theirs, ours::planned(path, None, None))
}

fn failure(side: &Side) -> Option<Failure> {
    side.open_error.clone().or(side.whole_error.clone())
}

/// Does a share, and prints a line of JSON before and after each object.
pub fn share(share: &Share) -> anyhow::Result<()> {
    let Share {
        arguments,
        from,
        scratch,
    } = share;
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?;
    messages::listen();
    // Held, so that all plans share what is read of it.
    let kernel = RunningKernel::get();
    let mut files = Vec::new();
    for folder in &arguments.folders {
        files.extend(workers::objects(folder)?);
    }
    let mut sound: HashMap<PathBuf, bool> = HashMap::new();
    let mut is_sound = |file: &PathBuf| {
        let both = || {
            let (theirs, ours) = both(file, |_| {});
            theirs.whole() && ours.whole()
        };
        *sound.entry(file.clone()).or_insert_with(both)
    };
    let say = |line: &Line| {
        let mut text = serde_json::to_string(line).unwrap();
        text.push('\n');
        std::io::stdout().write_all(text.as_bytes()).unwrap();
    };
    for index in (*from..arguments.count).step_by(arguments.jobs.max(1)) {
        let mut random = Random(arguments.seed << 32 | index as u64);
        let (file, edit, image) = loop {
            let file = random.pick(&files).context("no objects")?;
            let Some((name, edit)) = random.pick(EDITS) else {
                anyhow::bail!("no edits");
            };
            let Some(mut image) = Image::new(std::fs::read(file)?) else {
                continue;
            };
            if edit(&mut image, &mut random) && is_sound(file) {
                break (file, *name, image);
            }
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let what = format!("{index} {name}, {edit}");
        let path = scratch.join("broken.bpf.o");
        std::fs::write(&path, &image.bytes)?;
        let begin = |is_ours| say(&Line::Begin(index, what.clone(), is_ours));
        let (theirs, ours) = both(&path, begin);
        let row = Row {
            what,
            edit: edit.to_owned(),
            libbpf: failure(&theirs),
            ours: failure(&ours),
            difference: differs(&theirs, &ours),
        };
        if let Some(keep) = &arguments.keep {
            let refused = |side: &Option<Failure>| side.as_ref().is_some_and(|f| !f.by_kernel);
            if refused(&row.libbpf) != refused(&row.ours) || row.difference.is_some() {
                std::fs::copy(&path, keep.join(format!("{index}.bpf.o")))?;
            }
        }
        say(&Line::Done(row));
    }
    drop(kernel);
    Ok(())
}

/// The first thing that differs in what both take.
fn differs(theirs: &Side, ours: &Side) -> Option<String> {
    if !theirs.whole() || !ours.whole() {
        return None;
    }
    for (a, b) in theirs.maps.iter().zip(&ours.maps) {
        if a != b {
            return Some(format!("{a:?} here {b:?}"));
        }
    }
    for program in &theirs.programs {
        let name = &program.name;
        let Some(mine) = ours.program(name) else {
            return Some(format!("program {name} is not here"));
        };
        let is_same = program.insns == mine.insns
            && program.maps == mine.maps
            && program.func_info == mine.func_info
            && program.line_info == mine.line_info;
        if !is_same {
            return Some(format!("program {name}: {}", difference(program, mine)));
        }
    }
    None
}
