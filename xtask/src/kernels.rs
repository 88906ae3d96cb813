//! Debian's kernels: fetched as packages through the machine's own mirror, unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::run;

/// Kernel version, Debian suite that has it, and the package; a meta package where possible, since
/// old versions vanish.
const KERNELS: &[(&str, &str, &str)] = &[
    ("5.10", "bullseye", META),
    ("6.1", "bookworm", META),
    ("6.12", "trixie", META),
    (
        "6.18",
        "trixie-backports",
        "linux-image-6.18.15+deb13-cloud-amd64",
    ),
    ("7.2", "sid", META),
];

const META: &str = "linux-image-cloud-amd64";
const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel that can be booted.
pub(crate) struct Kernel {
    pub(crate) version: &'static str,
    pub(crate) image: PathBuf,
    pub(crate) config: PathBuf,
    /// The folder of its modules.
    pub(crate) modules: PathBuf,
    /// What `uname -r` says in it.
    pub(crate) release: String,
}

/// The kernels of these versions; `all` stands for every one.
pub(crate) fn fetch(versions: &[String]) -> anyhow::Result<Vec<Kernel>> {
    let is_wanted = |version| {
        versions
            .iter()
            .any(|wanted| wanted == version || wanted == "all")
    };
    let unknown = versions
        .iter()
        .find(|wanted| *wanted != "all" && !KERNELS.iter().any(|row| row.0 == wanted.as_str()));
    if let Some(unknown) = unknown {
        let known: Vec<_> = KERNELS.iter().map(|row| row.0).collect();
        bail!(
            "unknown kernel {unknown}; there are {} and all",
            known.join(", ")
        );
    }
    KERNELS
        .iter()
        .filter(|row| is_wanted(row.0))
        .map(|(version, suite, package)| {
            one(version, suite, package)
                .with_context(|| format!("KERNEL {version} CANNOT BE HAD from {suite}"))
        })
        .collect()
}

fn one(version: &'static str, suite: &str, package: &str) -> anyhow::Result<Kernel> {
    let dir = run::cache("vm/kernels")?.join(version);
    if !dir.join(".done").exists() {
        download(&dir, suite, package)?;
        fs::write(dir.join(".done"), "")?;
    }
    let modules = modules(&dir)?;
    let release = modules.file_name().unwrap_or_default();
    Ok(Kernel {
        version,
        image: find(&dir, "vmlinuz")?,
        release: release.to_string_lossy().into_owned(),
        config: find(&dir, "config")?,
        modules,
    })
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
}

impl Apt {
    fn new(dir: &Path, suite: &str) -> anyhow::Result<Self> {
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
        Ok(Self { dir })
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

fn download(dir: &Path, suite: &str, package: &str) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let apt = Apt::new(dir, suite)?;
    run::check(apt.command("apt-get").args(["update", "-qq"]))?;
    let image = match package {
        META => apt
            .depends(META)?
            .into_iter()
            .find(|name| name.starts_with("linux-image-"))
            .with_context(|| format!("{META} depends on no image"))?,
        name => name.to_owned(),
    };
    let version = image.trim_start_matches("linux-image-").to_owned();
    // From 7.x on the image is split.
    let parts = ["binary", "modules", "base"].map(|part| format!("linux-{part}-{version}"));
    let mut packages: Vec<String> = apt
        .depends(&image)?
        .into_iter()
        .filter(|name| parts.contains(name))
        .collect();
    packages.push(image);
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
