//! How much work it is to read, search and merge BTF, each time in a process of its own.

use std::ffi::{CString, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use libbpf_sys as sys;
use purebpf::btf::{Btf, BtfBuilder, Kind};
use purebpf::plan::TargetKernel as _;

use crate::speed::{instructions, median};

const KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Job {
    /// Read the running kernel's BTF and check it
    Parse,
    /// Look up structs and functions of the running kernel by name
    Find,
    /// Put the BTF of all objects of a folder together, and make equal types one
    Merge,
}

/// By whom.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// Nobody: what else the process does
    Nobody,
    Libbpf,
    Aya,
    Purebpf,
}

/// What a job prints about itself.
struct Outcome {
    time: Duration,
    /// How often it was done in that time.
    times: u32,
    /// Types that there are in the end.
    types: u32,
}

/// Does one job and says how long it took, and what came out.
pub fn one(by: By, job: Job, folder: Option<&Path>) -> anyhow::Result<()> {
    let objects = match (job, folder) {
        (Job::Merge, Some(folder)) => read(folder)?,
        (Job::Merge, None) => anyhow::bail!("a folder is needed"),
        _ => Vec::new(),
    };
    let names = match job {
        Job::Find => names()?,
        _ => Vec::new(),
    };
    let Outcome { time, times, types } = match (by, job) {
        (By::Nobody, _) => Outcome {
            time: Duration::ZERO,
            times: 1,
            types: 0,
        },
        (By::Libbpf, Job::Parse) => libbpf_parse()?,
        (By::Libbpf, Job::Find) => libbpf_find(&names)?,
        (By::Libbpf, Job::Merge) => libbpf_merge(&objects)?,
        (By::Aya, Job::Parse) => aya_parse()?,
        (By::Aya, _) => anyhow::bail!("aya has no such thing"),
        (By::Purebpf, Job::Parse) => parse()?,
        (By::Purebpf, Job::Find) => find(&names)?,
        (By::Purebpf, Job::Merge) => merge(&objects)?,
    };
    println!("{} {types}", (time / times).as_nanos());
    Ok(())
}

fn read(folder: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let section = |path: &PathBuf| {
        let file = std::fs::read(path).ok()?;
        let btf = purebpf::elf::find_section(&file, ".BTF").ok()??;
        // All of one byte order, or they cannot be put together.
        Btf::parse(btf.to_vec())
            .is_ok_and(|btf| btf.endian().is_host())
            .then(|| btf.to_vec())
    };
    Ok(paths.iter().filter_map(section).collect())
}

/// Every 50th struct and every 100th function.
fn names() -> anyhow::Result<Vec<(String, Kind)>> {
    let btf = Btf::parse(std::fs::read(KERNEL)?)?;
    let mut names = Vec::new();
    for (kind, step) in [(Kind::Struct, 50), (Kind::Func, 100)] {
        let of_kind = btf.ids().filter(|id| {
            btf.ty(*id)
                .is_ok_and(|ty| ty.kind.id() == Some(kind) && !ty.is_anonymous())
        });
        for id in of_kind.step_by(step) {
            names.push((btf.name(id)?.to_owned(), kind));
        }
    }
    Ok(names)
}

fn parse() -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let btf = purebpf::RunningKernel::unprivileged().btf()?;
    Ok(Outcome {
        time: start.elapsed(),
        times: 1,
        types: btf.len(),
    })
}

fn find(names: &[(String, Kind)]) -> anyhow::Result<Outcome> {
    let btf = purebpf::RunningKernel::unprivileged().btf()?;
    for kind in [Kind::Struct, Kind::Func] {
        ensure!(
            btf.find("no such name", kind).is_none(),
            "a name that is none"
        );
    }
    let start = Instant::now();
    for (name, kind) in names {
        ensure!(btf.find(name, *kind).is_some(), "no {kind} {name}");
    }
    Ok(Outcome {
        time: start.elapsed(),
        times: names.len() as u32,
        types: btf.len(),
    })
}

fn merge(objects: &[Vec<u8>]) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let types = merged(objects)?.len();
    Ok(Outcome {
        time: start.elapsed(),
        times: 1,
        types,
    })
}

fn merged(objects: &[Vec<u8>]) -> anyhow::Result<Btf> {
    let mut all = BtfBuilder::new();
    for object in objects {
        all.add_btf(&Btf::parse(object.as_slice())?)?;
    }
    Ok(all.finish()?.dedup()?.btf)
}

fn aya_parse() -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let btf = aya::Btf::from_sys_fs()?;
    let time = start.elapsed();
    drop(btf);
    Ok(Outcome {
        time,
        times: 1,
        types: 0,
    })
}

/// A BTF of libbpf's.
struct Theirs(ptr::NonNull<sys::btf>);

impl Theirs {
    fn new(btf: *mut sys::btf) -> anyhow::Result<Self> {
        Ok(Self(
            ptr::NonNull::new(btf).context("libbpf does not read it")?,
        ))
    }

    fn kernel() -> anyhow::Result<Self> {
        let path = CString::new(KERNEL)?;
        Self::new(unsafe { sys::btf__parse(path.as_ptr(), ptr::null_mut()) })
    }

    fn len(&self) -> u32 {
        unsafe { sys::btf__type_cnt(self.0.as_ptr()) }
    }

    fn bytes(&self) -> anyhow::Result<&[u8]> {
        let mut len = 0;
        let data = unsafe { sys::btf__raw_data(self.0.as_ptr(), &mut len) };
        ensure!(!data.is_null(), "libbpf does not write it");
        Ok(unsafe { std::slice::from_raw_parts(data.cast(), len as usize) })
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        unsafe { sys::btf__free(self.0.as_ptr()) }
    }
}

fn libbpf_parse() -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let btf = Theirs::kernel()?;
    Ok(Outcome {
        time: start.elapsed(),
        times: 1,
        types: btf.len(),
    })
}

fn libbpf_find(names: &[(String, Kind)]) -> anyhow::Result<Outcome> {
    let btf = Theirs::kernel()?;
    let names = names
        .iter()
        .map(|(name, kind)| Ok((CString::new(name.as_str())?, *kind as u32)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let find = |name: &CString, kind| unsafe {
        sys::btf__find_by_name_kind(btf.0.as_ptr(), name.as_ptr(), kind)
    };
    let start = Instant::now();
    for (name, kind) in &names {
        ensure!(find(name, *kind) > 0, "no {name:?}");
    }
    Ok(Outcome {
        time: start.elapsed(),
        times: names.len() as u32,
        types: btf.len(),
    })
}

fn libbpf_merge(objects: &[Vec<u8>]) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let types = libbpf_merged(objects)?.len();
    Ok(Outcome {
        time: start.elapsed(),
        times: 1,
        types,
    })
}

fn libbpf_merged(objects: &[Vec<u8>]) -> anyhow::Result<Theirs> {
    let all = Theirs::new(unsafe { sys::btf__new_empty() })?;
    for object in objects {
        let one =
            Theirs::new(unsafe { sys::btf__new(object.as_ptr().cast(), object.len() as u32) })?;
        let added = unsafe { sys::btf__add_btf(all.0.as_ptr(), one.0.as_ptr()) };
        ensure!(added > 0, "libbpf does not add: {added}");
    }
    let result = unsafe { sys::btf__dedup(all.0.as_ptr(), ptr::null()) };
    ensure!(result == 0, "libbpf does not deduplicate: {result}");
    Ok(all)
}

/// Says whether both merge a folder to the same bytes.
fn compare(folder: &Path) -> anyhow::Result<()> {
    let objects = read(folder)?;
    let (ours, theirs) = (merged(&objects)?, libbpf_merged(&objects)?);
    let is_same = ours.raw_bytes() == theirs.bytes()?;
    let verdict = if is_same { "the same" } else { "different" };
    println!("{} objects merge to {verdict} bytes", objects.len());
    Ok(())
}

/// Prints a table of all jobs.
pub fn run(folder: Option<&Path>, runs: usize) -> anyhow::Result<()> {
    if let Some(folder) = folder {
        compare(folder)?;
    }
    println!(
        "job     by         instructions  of libbpf's  time, us  of libbpf's  allocations    types"
    );
    for job in Job::value_variants() {
        if *job == Job::Merge && folder.is_none() {
            continue;
        }
        let folder = folder.filter(|_| *job == Job::Merge);
        let idle = instructions(&arguments(By::Nobody, *job, folder))?;
        let idle_allocations = allocations(By::Nobody, *job, folder)?;
        let mut libbpfs = (1, Duration::from_nanos(1));
        for by in [By::Libbpf, By::Aya, By::Purebpf] {
            if by == By::Aya && *job != Job::Parse {
                continue;
            }
            let counted = instructions(&arguments(by, *job, folder))?;
            let counted = counted.saturating_sub(idle);
            let allocations = allocations(by, *job, folder)?.saturating_sub(idle_allocations);
            let (mut times, mut types) = (Vec::new(), 0);
            for _ in 0..runs {
                let mut command = Command::new(std::env::current_exe()?);
                let output = command.args(arguments(by, *job, folder)).output()?;
                let text = String::from_utf8(output.stdout)?;
                let mut numbers = text.split_whitespace().map(str::parse::<u64>);
                let mut number = || {
                    numbers
                        .next()
                        .context("the job prints two numbers")?
                        .context("a number")
                };
                times.push(Duration::from_nanos(number()?));
                types = number()?;
            }
            let time = median(&times);
            if by == By::Libbpf {
                libbpfs = (counted.max(1), time);
            }
            let name = |value: Option<clap::builder::PossibleValue>| {
                value
                    .map(|value| value.get_name().to_owned())
                    .unwrap_or_default()
            };
            println!(
                "{:<6}  {:<8}  {counted:>13}  {:>11.3}  {:>8.2}  {:>11.3}  {allocations:>11}  {types:>7}",
                name(job.to_possible_value()),
                name(by.to_possible_value()),
                counted as f64 / libbpfs.0 as f64,
                time.as_secs_f64() * 1e6,
                time.as_secs_f64() / libbpfs.1.as_secs_f64(),
            );
        }
    }
    Ok(())
}

/// The arguments of this program that make it do one job.
fn arguments(by: By, job: Job, folder: Option<&Path>) -> Vec<OsString> {
    let names = [by.to_possible_value(), job.to_possible_value()];
    let names = names.into_iter().flatten();
    ["btf-job".into()]
        .into_iter()
        .chain(names.map(|value| value.get_name().into()))
        .chain(folder.map(Into::into))
        .collect()
}

/// Calls of the allocator, as valgrind counts them.
fn allocations(by: By, job: Job, folder: Option<&Path>) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--leak-check=no", "--undef-value-errors=no"]);
    command.arg(std::env::current_exe()?);
    command.args(arguments(by, job, folder));
    let output = command.output().context("starting valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| {
        line.split_once("total heap usage: ")?
            .1
            .split_once(" allocs")
    });
    let (count, _) = count.with_context(|| format!("valgrind prints no count: {text}"))?;
    Ok(count.replace(',', "").parse()?)
}
