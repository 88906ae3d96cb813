//! `purebpf btf dedup` and `min`: one BTF of several files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use purebpf::btf::core::Resolver;
use purebpf::btf::{Btf, BtfBuilder, MinimalBtf};

use crate::{print, source};

#[derive(clap::Args)]
pub(super) struct Dedup {
    /// The sources of the BTF
    #[arg(required = true)]
    sources: Vec<String>,
    /// The BTF that all of them continue
    #[arg(long)]
    base: Option<String>,
    /// Sort the types by name, as new kernels have them (7.2 does, 6.18 does not)
    #[arg(long)]
    sort: bool,
    /// The file to write
    #[arg(long, short)]
    output: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct Min {
    /// The BTF of the kernel that the objects are for
    kernel: String,
    /// The objects
    #[arg(required = true)]
    objects: Vec<PathBuf>,
    /// The file to write
    #[arg(long, short)]
    output: PathBuf,
}

pub(super) fn dedup(arguments: &Dedup) -> anyhow::Result<()> {
    let base = match &arguments.base {
        Some(base) => Some(source::btf(base, None)?),
        None => None,
    };
    let mut all = match &base {
        Some(base) => BtfBuilder::new_split(Arc::clone(base)),
        None => BtfBuilder::new(),
    };
    for name in &arguments.sources {
        let btf = source::on(name, base.clone())?.btf;
        all = all.endian(btf.endian());
        all.add_btf(&btf)
            .with_context(|| format!("adding the BTF of {name}"))?;
    }
    let before = all.finish()?;
    let mut after = before.dedup()?.btf;
    if arguments.sort {
        after = after.permute(&after.sorted_ids())?;
    }
    write(&arguments.output, &after)?;
    print::line(&format!(
        "{} types of {} files, {} of them different: {} bytes",
        before.own_ids().count(),
        arguments.sources.len(),
        after.own_ids().count(),
        after.raw_bytes().len(),
    ))
}

pub(super) fn min(arguments: &Min) -> anyhow::Result<()> {
    let kernel = source::btf(&arguments.kernel, None)?;
    let mut minimal = MinimalBtf::new(Arc::clone(&kernel));
    let mut count = 0u64;
    for object in &arguments.objects {
        let name = object.to_string_lossy();
        count += collect(&name, &kernel, &mut minimal)
            .with_context(|| format!("relocating {name} for {}", arguments.kernel))?;
    }
    let minimal = minimal.finish()?;
    write(&arguments.output, &minimal)?;
    print::line(&format!(
        "{count} relocations of {} objects need {} types of {}: {} bytes",
        arguments.objects.len(),
        minimal.own_ids().count(),
        kernel.own_ids().count(),
        minimal.raw_bytes().len(),
    ))
}

/// Resolves all relocations of an object; the result is how many there are.
fn collect(name: &str, kernel: &Arc<Btf>, minimal: &mut MinimalBtf) -> anyhow::Result<u64> {
    let object = source::open(name, None)?;
    let ext = object.ext.context("it has no section `.BTF.ext`")?;
    let mut resolver = Resolver::new(object.btf, Arc::clone(kernel));
    let mut count = 0;
    for relocation in ext
        .core_relos()
        .sections()
        .flat_map(|section| section.iter())
    {
        let resolution = resolver.resolve(&relocation)?;
        minimal.add(&resolution)?;
        count += 1;
    }
    Ok(count)
}

fn write(path: &Path, btf: &Btf) -> anyhow::Result<()> {
    let bytes = btf.to_bytes(btf.endian());
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
