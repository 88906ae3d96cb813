//! Debian's kernels: fetched as packages through the machine's own mirror, unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::arch::Arch;
use crate::run;

const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel that can be booted.
pub(crate) struct Kernel {
    pub(crate) arch: &'static Arch,
    pub(crate) version: &'static str,
    /// Version and machine.
    pub(crate) label: String,
    pub(crate) image: PathBuf,
    pub(crate) config: PathBuf,
    /// A static shell with the usual commands.
    pub(crate) shell: PathBuf,
    /// The folder of its modules.
    pub(crate) modules: PathBuf,
    /// What `uname -r` says in it.
    pub(crate) release: String,
}

/// The kernels of these versions for a machine; `all` stands for every one, `newest` for the last.
pub(crate) fn fetch(arch: &'static Arch, versions: &[String]) -> anyhow::Result<Vec<Kernel>> {
    let known = arch.kernels;
    for wanted in versions {
        if arch.versions(wanted).next().is_none() {
            let known: Vec<_> = known.iter().map(|row| row.0).collect();
            bail!(
                "unknown kernel {wanted}; for {} there are {}, newest and all",
                arch.name,
                known.join(", ")
            );
        }
    }
    let is_wanted = |version| {
        let mut all = versions.iter().flat_map(|wanted| arch.versions(wanted));
        all.any(|wanted| wanted == version)
    };
    known
        .iter()
        .filter(|row| is_wanted(row.0))
        .map(|(version, suite, package)| {
            one(arch, version, suite, package)
                .with_context(|| format!("KERNEL {version} CANNOT BE HAD from {suite}"))
        })
        .collect()
}

fn one(
    arch: &'static Arch,
    version: &'static str,
    suite: &str,
    package: &str,
) -> anyhow::Result<Kernel> {
    let label = match arch.cross {
        None => version.to_owned(),
        Some(_) => format!("{version}-{}", arch.name),
    };
    let dir = run::cache("vm/kernels")?.join(&label);
    if !dir.join(".done").exists() {
        download(&dir, arch, suite, package)?;
        fs::write(dir.join(".done"), "")?;
    }
    let modules = modules(&dir)?;
    let release = modules.file_name().unwrap_or_default();
    Ok(Kernel {
        arch,
        label,
        version,
        image: find(&dir, "vmlinuz")?,
        release: release.to_string_lossy().into_owned(),
        config: find(&dir, "config")?,
        shell: match arch.cross {
            None => PathBuf::from("/bin/busybox"),
            Some(_) => shell(&dir)?,
        },
        modules,
    })
}

fn shell(dir: &Path) -> anyhow::Result<PathBuf> {
    let mut places = ["bin/busybox", "usr/bin/busybox"]
        .map(|place| dir.join(place))
        .into_iter();
    let found = places.find(|place| place.exists());
    found.with_context(|| format!("no busybox in {}", dir.display()))
}

fn modules(dir: &Path) -> anyhow::Result<PathBuf> {
    for folder in ["lib/modules", "usr/lib/modules"] {
        let Ok(mut entries) = fs::read_dir(dir.join(folder)) else {
            continue;
        };
        if let Some(entry) = entries.next() {
            return Ok(entry?.path());
        }
    }
    bail!("no modules in {}", dir.display())
}

/// A file that is called so, perhaps with a dash and a version behind it.
fn find(dir: &Path, stem: &str) -> anyhow::Result<PathBuf> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let rest = name.strip_prefix(stem);
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
                return Ok(entry.path());
            }
        }
    }
    bail!("no {stem} in {}", dir.display())
}

/// Runs apt with a suite of its own, without touching the machine's.
struct Apt {
    dir: PathBuf,
    arch: &'static Arch,
}

impl Apt {
    fn new(dir: &Path, arch: &'static Arch, suite: &str) -> anyhow::Result<Self> {
        let dir = dir.join("apt");
        fs::create_dir_all(dir.join("lists/partial"))?;
        fs::create_dir_all(dir.join("cache/archives/partial"))?;
        let sources = fs::read_to_string(SOURCES).context("reading apt's sources")?;
        let mirrors: Vec<&str> = sources
            .lines()
            .filter_map(|line| line.strip_prefix("URIs:"))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let main = mirrors.iter().find(|uri| !uri.contains("security"));
        let security = mirrors.iter().find(|uri| uri.contains("security"));
        let mut list = String::new();
        if let Some(uri) = main {
            list += &format!("deb [signed-by={KEYRING}] {uri} {suite} main\n");
        }
        // Suites that are still, or were, under security support have their kernels there.
        if let (Some(uri), true) = (security, !suite.contains('-') && suite != "sid") {
            list += &format!("deb [signed-by={KEYRING}] {uri} {suite}-security main\n");
        }
        fs::write(dir.join("sources.list"), list)?;
        Ok(Self { dir, arch })
    }

    fn command(&self, program: &str) -> std::process::Command {
        let dir = self.dir.display();
        let mut command = run::command(program);
        command.current_dir(&self.dir);
        for option in [
            format!("Dir::Etc::sourcelist={dir}/sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::Cache={dir}/cache"),
            "Dir::State::status=/dev/null".to_owned(),
            format!("APT::Architecture={}", self.arch.debian),
            format!("APT::Architectures={}", self.arch.debian),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }

    fn depends(&self, package: &str) -> anyhow::Result<Vec<String>> {
        let text = run::output(self.command("apt-cache").args(["depends", package]))?;
        let names = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).collect())
    }
}

fn download(dir: &Path, arch: &'static Arch, suite: &str, package: &str) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let apt = Apt::new(dir, arch, suite)?;
    run::check(apt.command("apt-get").args(["update", "-qq"]))?;
    // A meta package depends on the image of a version, which depends on no other image.
    let image = apt
        .depends(package)?
        .into_iter()
        .find(|name| name.starts_with("linux-image-"))
        .unwrap_or_else(|| package.to_owned());
    let version = image.trim_start_matches("linux-image-").to_owned();
    // From 7.x on the image is split.
    let parts = ["binary", "modules", "base"].map(|part| format!("linux-{part}-{version}"));
    let mut packages: Vec<String> = apt
        .depends(&image)?
        .into_iter()
        .filter(|name| parts.contains(name))
        .collect();
    packages.push(image);
    packages.extend(arch.cross.as_ref().map(|_| "busybox-static".to_owned()));
    run::check(
        apt.command("apt-get")
            .args(["download", "-qq"])
            .args(&packages),
    )?;
    for entry in fs::read_dir(&apt.dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "deb") {
            run::check(run::command("dpkg").arg("-x").arg(&path).arg(dir))?;
        }
    }
    fs::remove_dir_all(&apt.dir).context("removing apt's folder")
}
