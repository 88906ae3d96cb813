//! What compiles where: all of it for Linux on riscv64, the crates that need no kernel anywhere.

use crate::foreign::CRATES;
use crate::run;

/// A target, and whether it runs Linux.
const TARGETS: [(&str, bool); 5] = [
    ("riscv64gc-unknown-linux-gnu", true),
    ("wasm32-unknown-unknown", false),
    ("x86_64-pc-windows-gnu", false),
    ("aarch64-apple-darwin", false),
    ("x86_64-unknown-freebsd", false),
];

/// Checks every target, or the one of this name.
pub(crate) fn run(only: Option<&str>) -> anyhow::Result<()> {
    let wanted = |target: &&(&str, bool)| only.is_none_or(|only| only == target.0);
    let targets: Vec<_> = TARGETS.iter().filter(wanted).collect();
    let names = TARGETS.map(|(name, _)| name).join(", ");
    anyhow::ensure!(!targets.is_empty(), "unknown target; there are {names}");
    for (target, is_linux) in targets {
        run::target(target)?;
        let mut command = run::command("cargo");
        command.args(["check", "--quiet", "--locked", "--target", target]);
        match is_linux {
            true => command.args(["--workspace", "--exclude", "xtask", "--all-features"]),
            false => command.args(CRATES.iter().flat_map(|name| ["-p", name])),
        };
        run::check(&mut command)?;
    }
    Ok(())
}
