//! Modules of a kernel, for tests of what modules bring: BTF, functions for programs, struct_ops.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;

use crate::kernels::Kernel;
use crate::run;

/// Modules whose functions programs may call, or trace, and what implements struct_ops; then what
/// programs on network devices need: a device, and queueing disciplines with their filters.
const WANTED: [&str; 9] = [
    "nf_conntrack",
    "nf_nat",
    "tcp_bbr",
    "tcp_dctcp",
    "xfrm_interface",
    "veth",
    "sch_ingress",
    "sch_drr",
    "cls_bpf",
];

/// Copies the modules and what they depend on, uncompressed, with a file `order` that says in which
/// order they are inserted.
pub(crate) fn copy(kernel: &Kernel, to: &Path) -> anyhow::Result<()> {
    let mut order: Vec<String> = Vec::new();
    let dependencies = dependencies(kernel)?;
    for wanted in WANTED {
        let line = dependencies
            .lines()
            .find(|line| {
                line.split(':')
                    .next()
                    .is_some_and(|path| stem(path) == wanted)
            })
            .with_context(|| format!("kernel {} has no module {wanted}", kernel.version))?;
        // What it needs stands behind it, what that needs last.
        for path in line.replace(':', " ").split_whitespace().rev() {
            let name = format!("{}.ko", stem(path));
            if !order.contains(&name) {
                uncompress(&kernel.modules.join(path), &to.join(&name))?;
                order.push(name);
            }
        }
    }
    fs::write(to.join("order"), order.join("\n") + "\n").context("writing the order of modules")
}

/// A module's name, from its path.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').next().unwrap_or(name)
}

/// The lines of `modules.dep`, which a package leaves to the machine that installs it.
fn dependencies(kernel: &Kernel) -> anyhow::Result<String> {
    let file = kernel.modules.join("modules.dep");
    if !file.exists() {
        let base = kernel.modules.ancestors().nth(3);
        let base = base.context("modules are in no folder")?;
        run::check(
            run::command("depmod")
                .arg("-b")
                .arg(base)
                .arg(&kernel.release)
                .stderr(Stdio::null()),
        )?;
    }
    fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
}

fn uncompress(module: &Path, to: &Path) -> anyhow::Result<()> {
    if module.extension().is_some_and(|ending| ending == "xz") {
        let file = fs::File::create(to)?;
        run::check(run::command("xz").arg("-dc").arg(module).stdout(file))
    } else {
        fs::copy(module, to)?;
        Ok(())
    }
}
