//! `purebpf cgroup`: what is attached to cgroups.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use purebpf::attach::Cgroup;
use purebpf::handles::{Errno, Error};

use super::{Row, show};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Args)]
struct Options {
    /// What runs for the processes of a cgroup, with what its ancestors add
    #[arg(long, global = true)]
    effective: bool,
    /// As JSON: a list of objects
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// What is attached to one cgroup
    Show {
        /// Its directory
        path: PathBuf,
    },
    /// What is attached to a cgroup and all below it, which is what is shown without a command
    Tree {
        /// The directory of the uppermost one [default: where cgroups are mounted]
        path: Option<PathBuf>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = &arguments.options;
    let mut rows = Vec::new();
    match &arguments.command {
        Some(Command::Show { path }) => at(path, options, &mut rows)?,
        Some(Command::Tree { path: Some(path) }) => below(path, options, &mut rows)?,
        Some(Command::Tree { path: None }) | None => below(&mounted()?, options, &mut rows)?,
    }
    show(&rows, &["cgroup", "attach type"], options.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Adds what is attached to a cgroup.
fn at(path: &Path, options: &Options, rows: &mut Vec<Row>) -> Result<(), Error> {
    for how in Cgroup::ATTACH_TYPES {
        let point = Cgroup::new(path).attach_type(*how);
        let found = match options.effective {
            true => point.effective(),
            false => point.query(),
        };
        let found = match found {
            // The kernel does not have it.
            Err(error) if error.errno() == Some(Errno::EINVAL) => continue,
            found => found?,
        };
        let flags = match found.flags {
            0 => None,
            1 => Some("override"),
            2 => Some("multi"),
            _ => Some("other"),
        };
        rows.extend(found.programs.iter().map(|entry| {
            let place = vec![
                ("cgroup", path.to_string_lossy().into()),
                ("attach_type", how.to_string().into()),
            ];
            Row::new(place, entry.program).with("flags", flags)
        }));
    }
    Ok(())
}

/// Adds what is attached to a cgroup and to those below it, which may come and go meanwhile.
fn below(top: &Path, options: &Options, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    at(top, options, rows)?;
    let mut left = children(top);
    while let Some(path) = left.pop() {
        match at(&path, options, rows) {
            Err(error) if error.errno() == Some(Errno::ENOENT) => {}
            result => {
                result?;
                left.extend(children(&path));
            }
        }
    }
    Ok(())
}

/// The cgroups in a cgroup, the last one first.
fn children(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut directories: Vec<PathBuf> = directories.map(|entry| entry.path()).collect();
    directories.sort_unstable_by(|a, b| b.cmp(a));
    directories
}

/// Where cgroups of version 2 are mounted.
fn mounted() -> anyhow::Result<PathBuf> {
    const MOUNTS: &str = "/proc/self/mounts";
    let mounts = std::fs::read_to_string(MOUNTS).context(MOUNTS)?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let path = words.next()?;
        (words.next() == Some("cgroup2")).then(|| path.to_owned())
    });
    let mount = mount.context("no cgroups of version 2 are mounted; name a directory")?;
    Ok(unescaped(&mount))
}

/// A path of which the kernel wrote spaces and the like as three octal digits behind a backslash.
fn unescaped(path: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut parts = path.split('\\');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let digits = part.split_at_checked(3);
        match digits.and_then(|(digits, rest)| Some((u8::from_str_radix(digits, 8).ok()?, rest))) {
            Some((byte, rest)) => {
                bytes.push(byte);
                bytes.extend(rest.bytes());
            }
            None => {
                bytes.push(b'\\');
                bytes.extend(part.bytes());
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_the_kernel_writes_them() {
        for (written, path) in [
            ("/sys/fs/cgroup", "/sys/fs/cgroup"),
            ("/a\\040b\\134\\011", "/a b\\\t"),
            ("/\\04", "/\\04"),
            ("/\\999", "/\\999"),
        ] {
            assert_eq!(unescaped(written), PathBuf::from(path), "{written}");
        }
    }
}
