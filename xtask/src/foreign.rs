//! Runs the tests of the pure crates on machines of another byte order and word, emulated.

use crate::arch::{self, Arch};
use crate::run;

/// The crates that need no kernel.
pub(crate) const CRATES: [&str; 4] = ["purebpf-insn", "purebpf-elf", "purebpf-btf", "purebpf-plan"];

/// Tests the pure crates on this machine, or on all that are not the host's.
pub(crate) fn run(only: Option<&str>, crates: &[String]) -> anyhow::Result<()> {
    let only = only.map(arch::named).transpose()?;
    let machines = arch::ALL.into_iter().filter(|arch| arch.cross.is_some());
    for machine in only.map_or_else(|| machines.collect(), |only| vec![only]) {
        test(machine, crates)?;
        compare_plans(machine)?;
    }
    Ok(())
}

fn test(machine: &Arch, crates: &[String]) -> anyhow::Result<()> {
    let mut command = machine.cargo("test")?;
    command
        // As for virtual machines, so that the standard library is built once.
        .args(["--profile", "vm"])
        .args(["--lib", "--tests", "--all-features"])
        // One takes seconds there.
        .env("RUST_BACKTRACE", "0");
    let named = crates.iter().map(String::as_str);
    let all = CRATES.into_iter().filter(|_| crates.is_empty());
    for name in named.chain(all) {
        command.args(["-p", name]);
    }
    run::check(&mut command)
}

/// Plans made there and here, for the same kernels, have to be the same, byte for byte.
fn compare_plans(machine: &Arch) -> anyhow::Result<()> {
    let example = ["-q", "-p", "purebpf-plan", "--example", "plans"];
    let mut emulated = machine.cargo("run")?;
    let there = run::output(emulated.args(["--profile", "vm"]).args(example))?;
    let here = run::output(run::command("cargo").arg("run").args(example))?;
    let mut lines = here.lines().zip(there.lines());
    match lines.find(|(here, there)| here != there) {
        Some((here, there)) => anyhow::bail!("planned here: {here}\nplanned there: {there}"),
        None => anyhow::ensure!(here.len() == there.len(), "one has more plans"),
    }
    Ok(())
}
