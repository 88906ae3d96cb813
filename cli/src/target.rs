//! The kernels that `purebpf plan` plans for: this machine's, as its files describe it, perhaps
//! with the types of another; or one that a folder describes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use purebpf::RunningKernel;
use purebpf::btf::Btf;
use purebpf::insn::Endian;
use purebpf::plan::{DescribedKernel, Error, Feature, ModuleBtf, TargetKernel, endian_of};

use crate::source;

/// A kernel to plan for.
pub(crate) struct Target {
    /// What the user calls it.
    pub(crate) name: String,
    kernel: Box<dyn TargetKernel>,
}

impl Target {
    /// This machine's.
    pub(crate) fn here() -> Self {
        Self {
            name: "this kernel".to_owned(),
            kernel: Box::new(RunningKernel::unprivileged()),
        }
    }

    /// One of which the user has BTF: with that of a file whose name has a version, that version,
    /// otherwise this machine's.
    pub(crate) fn btf(name: &str) -> anyhow::Result<Self> {
        let is_file = Path::new(name).is_file();
        let version = Path::new(name).file_name().filter(|_| is_file);
        let kernel = Foreign {
            host: RunningKernel::unprivileged(),
            btf: source::btf(name, None)?,
            version: version.and_then(|name| version_in(&name.to_string_lossy())),
        };
        let is_here = name == "kernel";
        Ok(Self {
            name: name.to_owned(),
            kernel: if is_here {
                Self::here().kernel
            } else {
                Box::new(kernel)
            },
        })
    }

    /// One that a folder describes, and nothing else.
    pub(crate) fn folder(folder: &Path) -> anyhow::Result<Self> {
        let name = folder.display().to_string();
        let kernel = describe(folder).with_context(|| format!("reading the kernel of {name}"))?;
        let kernel = Box::new(kernel);
        Ok(Self { name, kernel })
    }

    /// What plans ask.
    pub(crate) fn kernel(&self) -> &dyn TargetKernel {
        &*self.kernel
    }
}

/// The first of these files in a folder.
fn first(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let mut paths = names.iter().map(|name| folder.join(name));
    paths.find(|path| path.is_file())
}

fn text(folder: &Path, names: &[&str]) -> anyhow::Result<Option<String>> {
    let path = first(folder, names);
    let read = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    path.map(read).transpose()
}

fn describe(folder: &Path) -> anyhow::Result<DescribedKernel> {
    let path = folder.join("vmlinux");
    let btf = source::btf(&path.to_string_lossy(), None)?;
    let config = text(folder, &["config", ".config"])?;
    let release = text(folder, &["release"])?;
    let header = config.as_deref().and_then(|text| {
        let mut head = text.lines().take(5);
        head.find(|line| line.contains("Kernel Configuration"))
    });
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let version = [release.as_deref(), header, Some(&*name)];
    let version = version.into_iter().flatten().find_map(version_in);
    let version = version.context("nothing says which version it is: write that to `release`")?;
    let mut kernel = DescribedKernel::new(version)
        .modules(modules(&folder.join("modules"), &btf)?)
        .btf(btf);
    if let Some(config) = config {
        kernel = kernel.config(config);
    }
    if let Some(symbols) = text(folder, &["kallsyms", "System.map"])? {
        kernel = kernel.symbols(symbols);
    }
    Ok(kernel)
}

/// The BTF of modules: a file each, by name.
fn modules(folder: &Path, base: &Arc<Btf>) -> anyhow::Result<Vec<ModuleBtf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    let module = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let source = source::on(&path.to_string_lossy(), Some(Arc::clone(base)))?;
        Ok(ModuleBtf {
            name: name.into(),
            btf: source.btf,
        })
    };
    paths.iter().map(module).collect()
}

/// The first version that a text has, as `LINUX_VERSION_CODE`: `vmlinux-5.10.0-46.btf`.
fn version_in(text: &str) -> Option<u32> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    words.filter_map(version).next()
}

fn version(word: &str) -> Option<u32> {
    /// There is no BPF before, and no kernel after for long.
    const MAJORS: std::ops::Range<u32> = 3..32;
    let mut numbers = word.split('.').map(str::parse::<u32>);
    let major = numbers
        .next()?
        .ok()
        .filter(|major| MAJORS.contains(major))?;
    let minor = numbers.next()?.ok().filter(|minor| *minor < 256)?;
    let patch = numbers.next().and_then(Result::ok).unwrap_or(0).min(255);
    Some(major << 16 | minor << 8 | patch)
}

/// This machine's kernel with the types of another.
struct Foreign {
    host: RunningKernel,
    btf: Arc<Btf>,
    version: Option<u32>,
}

impl TargetKernel for Foreign {
    fn version(&self) -> u32 {
        self.version.unwrap_or_else(|| self.host.version())
    }

    fn endian(&self) -> Option<Endian> {
        Some(endian_of(&self.btf))
    }

    fn btf(&self) -> Result<Arc<Btf>, Error> {
        Ok(Arc::clone(&self.btf))
    }

    fn modules(&self) -> Result<Arc<[ModuleBtf]>, Error> {
        Ok(Arc::new([]))
    }

    fn config(&self) -> Result<Arc<str>, Error> {
        self.host.config()
    }

    fn symbols(&self) -> Result<Arc<str>, Error> {
        self.host.symbols()
    }

    fn has(&self, feature: Feature) -> bool {
        match self.version {
            Some(version) => feature.is_in(version),
            None => self.host.has(feature),
        }
    }

    fn possible_cpus(&self) -> Result<u32, Error> {
        self.host.possible_cpus()
    }

    fn page_size(&self) -> u32 {
        self.host.page_size()
    }
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn a_version_is_found_where_there_is_one() {
        let code = |a: u32, b: u32, c: u32| Some(a << 16 | b << 8 | c);
        assert_eq!(version_in("5.4.0-42-generic.btf"), code(5, 4, 0));
        assert_eq!(version_in("vmlinux-6.12.117+deb13-amd64"), code(6, 12, 117));
        assert_eq!(version_in("5.10.300.btf"), code(5, 10, 255));
        assert_eq!(
            version_in("# Linux/x86 6.1.2 Kernel Configuration"),
            code(6, 1, 2)
        );
        assert_eq!(version_in("v7.2"), code(7, 2, 0));
        assert_eq!(version_in("btf-108408.btf"), None);
        assert_eq!(version_in("library-1.2.btf"), None);
    }
}
