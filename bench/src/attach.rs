//! What time of the processor it takes to attach a program to many functions, by their names, and to detach it.

use std::collections::HashSet;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libbpf_sys as sys;
use nix::time::{ClockId, clock_gettime};
use purebpf::attach::{KprobeMulti, UprobeMulti};
use purebpf::{Loader, ObjectSpec, Program};

use crate::loaded::Loaded;

#[derive(clap::Args)]
pub struct Arguments {
    /// An object with a program for each kind of section
    object: PathBuf,
    /// Functions of this binary, not of the kernel
    #[arg(long)]
    binary: Option<PathBuf>,
    /// How many functions
    #[arg(long, default_value_t = 1000)]
    functions: usize,
    /// How many times each does it, of which the median counts
    #[arg(long, default_value_t = 21)]
    runs: usize,
}

/// The processor's time of this thread: the kernel waits for others when it detaches.
fn now() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// What attaching took, and detaching.
type Times = (Duration, Duration);

/// Prints the times of both sides, which take turns.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (program, names) = match &arguments.binary {
        Some(binary) => ("on_uprobe_multi", symbols(binary, arguments.functions)?),
        None => ("on_kprobe_multi", traceable(arguments.functions)?),
    };
    let mut spec = ObjectSpec::open(&arguments.object)?;
    spec.load_only([program])?;
    let object = Loader::new().load(&spec)?;
    let ours = object.program(program)?;
    let names = match &arguments.binary {
        // Some begin with an instruction that the kernel does not take a probe at.
        Some(binary) => probed(&ours, binary, names),
        None => names,
    };
    let theirs = Loaded::new(&arguments.object, program)?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..arguments.runs {
        times[0].push(theirs.attach_to(arguments.binary.as_deref(), &names)?);
        times[1].push(by_purebpf(&ours, arguments.binary.as_deref(), &names)?);
    }
    println!(
        "{} functions by name      attach, ms   detach, ms",
        names.len()
    );
    for (who, mut times) in ["libbpf", "purebpf"].into_iter().zip(times) {
        let mut median = |of: fn(&Times) -> Duration| {
            times.sort_by_key(of);
            let middle = times.get(times.len() / 2).map(of).unwrap_or_default();
            1e3 * middle.as_secs_f64()
        };
        let (attach, detach) = (median(|times| times.0), median(|times| times.1));
        println!("{who:<24} {attach:>13.2} {detach:>12.2}");
    }
    Ok(())
}

fn by_purebpf(program: &Program, binary: Option<&Path>, names: &[String]) -> anyhow::Result<Times> {
    let start = now()?;
    let link = match binary {
        Some(binary) => {
            program.attach(UprobeMulti::symbols(binary.display().to_string(), names))?
        }
        None => program.attach(KprobeMulti::symbols(names))?,
    };
    let attached = now()?.saturating_sub(start);
    let start = now()?;
    drop(link);
    Ok((attached, now()?.saturating_sub(start)))
}

impl Loaded {
    fn attach_to(&self, binary: Option<&Path>, names: &[String]) -> anyhow::Result<Times> {
        let names: Vec<CString> = names
            .iter()
            .map(|name| CString::new(name.as_str()))
            .collect::<Result<_, _>>()?;
        let mut names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let binary = binary.map(|path| CString::new(path.to_string_lossy().as_bytes()));
        let binary = binary.transpose()?;
        let start = now()?;
        let link = match &binary {
            Some(binary) => {
                let options = sys::bpf_uprobe_multi_opts {
                    sz: size_of::<sys::bpf_uprobe_multi_opts>() as _,
                    syms: names.as_mut_ptr(),
                    cnt: names.len() as _,
                    ..Default::default()
                };
                let none = std::ptr::null();
                unsafe {
                    sys::bpf_program__attach_uprobe_multi(
                        self.program,
                        -1,
                        binary.as_ptr(),
                        none,
                        &options,
                    )
                }
            }
            None => {
                let options = sys::bpf_kprobe_multi_opts {
                    sz: size_of::<sys::bpf_kprobe_multi_opts>() as _,
                    syms: names.as_mut_ptr(),
                    cnt: names.len() as _,
                    ..Default::default()
                };
                let none = std::ptr::null();
                unsafe { sys::bpf_program__attach_kprobe_multi_opts(self.program, none, &options) }
            }
        };
        let attached = now()?.saturating_sub(start);
        ensure!(
            !link.is_null(),
            "libbpf cannot attach: {}",
            std::io::Error::last_os_error()
        );
        let start = now()?;
        unsafe { sys::bpf_link__destroy(link) };
        Ok((attached, now()?.saturating_sub(start)))
    }
}

/// Those functions that take a probe.
fn probed(program: &Program, binary: &Path, names: Vec<String>) -> Vec<String> {
    let target = UprobeMulti::symbols(binary.display().to_string(), &names);
    match (program.attach(target), names.len()) {
        (Ok(_), _) => names,
        (Err(_), 0 | 1) => Vec::new(),
        (Err(_), count) => {
            let (a, b) = names.split_at(count / 2);
            let both = [a, b].map(|part| probed(program, binary, part.to_vec()));
            both.concat()
        }
    }
}

/// So many functions of a binary, from all parts of its table of symbols.
fn symbols(binary: &Path, count: usize) -> anyhow::Result<Vec<String>> {
    let bytes = std::fs::read(binary)?;
    let executable = purebpf::elf::host::Executable::parse(bytes)?;
    let all = std::cell::RefCell::new(Vec::new());
    executable.matching_offsets(|name| {
        all.borrow_mut().push(name.to_owned());
        true
    })?;
    spread(all.into_inner(), count)
}

/// So many functions of the kernel.
fn traceable(count: usize) -> anyhow::Result<Vec<String>> {
    let path = purebpf::handles::tracefs::root().join("available_filter_functions");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    // Those of modules have their name beside them.
    let all = text.lines().filter(|line| !line.contains(' '));
    spread(all.map(str::to_owned).collect(), count)
}

/// So many of those names that only one function has.
fn spread(names: Vec<String>, count: usize) -> anyhow::Result<Vec<String>> {
    let mut seen = HashSet::new();
    let twice: HashSet<String> = names
        .iter()
        .filter(|name| !seen.insert(name.as_str()))
        .cloned()
        .collect();
    let names: Vec<String> = names
        .into_iter()
        .filter(|name| !twice.contains(name))
        .collect();
    ensure!(
        names.len() >= count,
        "there are only {} functions",
        names.len()
    );
    let step = names.len() / count.max(1);
    Ok(names.into_iter().step_by(step.max(1)).take(count).collect())
}
