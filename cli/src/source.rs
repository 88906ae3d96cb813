//! Where BTF comes from: the same words mean the same in every command.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use purebpf::btf::{Btf, source};
use purebpf::handles::{BtfId, BtfObject};
use purebpf::plan::TargetKernel as _;
use purebpf::{RunningKernel, btf};

/// What the commands say of their arguments.
pub(crate) const HELP: &str = "A source of BTF is `kernel` (this machine's), `module:NAME`, `id:NUMBER` \
    (or just the number) of BTF that is loaded, or a file: raw BTF, an ELF file, a compressed \
    module or a kernel's boot image.";

const SYSFS: &str = "/sys/kernel/btf";

/// BTF, and what belongs to it in its file.
pub(crate) struct Source {
    pub(crate) btf: Arc<Btf>,
    /// `.BTF.ext` of a BPF object.
    pub(crate) ext: Option<btf::ext::BtfExt>,
}

/// The BTF that a user named, on the base that a user named, if any.
pub(crate) fn open(name: &str, base: Option<&str>) -> anyhow::Result<Source> {
    let base = match base {
        Some(base) => Some(open(base, None)?.btf),
        None => None,
    };
    on(name, base)
}

/// The BTF that a user named, on a base that was read already.
pub(crate) fn on(name: &str, base: Option<Arc<Btf>>) -> anyhow::Result<Source> {
    read(name, base).with_context(|| format!("reading the BTF of {name}"))
}

/// The same, where only the BTF matters.
pub(crate) fn btf(name: &str, base: Option<&str>) -> anyhow::Result<Arc<Btf>> {
    Ok(open(name, base)?.btf)
}

fn read(name: &str, base: Option<Arc<Btf>>) -> anyhow::Result<Source> {
    let only = |btf| Source { btf, ext: None };
    if name == "kernel" {
        return Ok(only(RunningKernel::unprivileged().btf()?));
    }
    if let Some(module) = name.strip_prefix("module:") {
        return file(&Path::new(SYSFS).join(module), base);
    }
    let number = name.strip_prefix("id:").unwrap_or(name);
    if let Ok(number) = number.parse() {
        return Ok(only(loaded(BtfId(number), base)?));
    }
    file(Path::new(name), base)
}

fn file(path: &Path, base: Option<Arc<Btf>>) -> anyhow::Result<Source> {
    let bytes = std::fs::read(path)?;
    let found = source::find(&bytes)?;
    let is_module_of_this_kernel = path.starts_with(SYSFS) && !path.ends_with("vmlinux");
    let base = match base {
        None if is_module_of_this_kernel => Some(RunningKernel::unprivileged().btf()?),
        base => base,
    };
    let btf = match (found.base, base) {
        // Built apart from any kernel, so it says itself which types it means.
        (Some(distilled), base) => {
            let distilled = Arc::new(Btf::parse(distilled)?);
            let btf = Btf::parse_split(found.btf, distilled)?;
            match base {
                Some(base) => btf.relocate(base)?,
                None => btf,
            }
        }
        (None, Some(base)) => Btf::parse_split(found.btf, base)?,
        (None, None) => whole(found.btf)?,
    };
    let ext = found.ext.map(btf::ext::BtfExt::parse).transpose()?;
    Ok(Source {
        btf: Arc::new(btf),
        ext,
    })
}

fn loaded(id: BtfId, base: Option<Arc<Btf>>) -> anyhow::Result<Arc<Btf>> {
    let object = BtfObject::from_id(id)?;
    let info = object.info()?;
    let data = object.data()?;
    let is_module = info.is_kernel && info.name != "vmlinux";
    let base = match base {
        None if is_module => Some(RunningKernel::unprivileged().btf()?),
        base => base,
    };
    let btf = match base {
        Some(base) => Btf::parse_split(data, base)?,
        None => Btf::parse(data)?,
    };
    Ok(Arc::new(btf))
}

/// BTF without a base, as far as can be told.
fn whole(data: Vec<u8>) -> anyhow::Result<Btf> {
    match Btf::parse(data) {
        Err(btf::Error::Strings { problem, .. }) if problem.contains("start") => {
            bail!("it continues other BTF, as that of a module does: name that with --base")
        }
        Err(
            error @ (btf::Error::TypeOutOfRange { .. }
            | btf::Error::NameOutOfRange { .. }
            | btf::Error::NotFuncProto { .. }),
        ) => Err(error).context("perhaps it continues other BTF, which --base names"),
        other => Ok(other?),
    }
}
