//! User time to work out what to load of many objects, in one process: what libbpf prepares
//! (maps are created then), and what purebpf plans.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum as _;
use nix::sys::resource::{UsageWho, getrusage};
use purebpf::RunningKernel;

use crate::{Who, libbpf, ours};

/// Prints the user time of both, each in a process of its own.
pub fn run(folder: &Path) -> anyhow::Result<()> {
    let itself = std::env::current_exe().context("the path of this program")?;
    for who in ["libbpf", "purebpf"] {
        let mut command = std::process::Command::new(&itself);
        command.args(["corpus", "--by", who]).arg(folder);
        let status = command.status()?;
        anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    }
    Ok(())
}

/// User time of this process so far, seconds.
fn user_time() -> anyhow::Result<f64> {
    let time = getrusage(UsageWho::RUSAGE_SELF)?.user_time();
    Ok(time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
}

/// Does it once, and prints the user time.
pub fn one(who: Who, folder: &Path) -> anyhow::Result<()> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|ending| ending == "o"));
    files.sort();
    let before = user_time()?;
    let done = match who {
        Who::Libbpf => {
            libbpf::be_quiet();
            files.iter().filter(|file| libbpf::prepares(file)).count()
        }
        _ => {
            // Held, so that all plans share what is read of it.
            let kernel = RunningKernel::get();
            let done = files.iter().filter(|file| ours::plans(file)).count();
            drop(kernel);
            done
        }
    };
    let time = (user_time()? - before) * 1e3;
    let name = who.to_possible_value().context("a loader has a name")?;
    println!(
        "{:<8} {done} of {} objects, {time:.0} ms of user time",
        name.get_name(),
        files.len(),
    );
    Ok(())
}
