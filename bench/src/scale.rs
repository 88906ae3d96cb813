//! How the work to plan an object grows with its relocations.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum as _;

use crate::{Who, speed};

/// Programs with 100 relocations each.
const PROGRAMS: [usize; 4] = [1, 10, 100, 1000];

/// Prints one table: instructions in user space to open and prepare, or plan, each in a process of
/// its own.
pub fn run() -> anyhow::Result<()> {
    println!("relocations  loader      instructions  without process  each relocation");
    let folder = std::env::temp_dir();
    for programs in PROGRAMS {
        let mut list = String::new();
        for index in 0..programs {
            writeln!(list, "PROGRAM(p{index})")?;
        }
        let header = folder.join("purebpf-programs.h");
        std::fs::write(&header, list)?;
        let define = format!("-DPROGRAMS=\"{}\"", header.display());
        let object = speed::compile(speed::COMPILED, &[define])?;
        std::fs::remove_file(&header)?;
        let object = object.context("there is no clang-19")?;
        row(programs * 100, &object)?;
        std::fs::remove_file(&object)?;
    }
    Ok(())
}

fn row(relocations: usize, object: &Path) -> anyhow::Result<()> {
    let instructions = |who| speed::instructions(&speed::load(who, object, true));
    let nobody = instructions(Who::Nobody)?;
    for who in [Who::Libbpf, Who::Purebpf] {
        let all = instructions(who)?;
        let own = all.saturating_sub(nobody);
        let name = who.to_possible_value().context("a loader has a name")?;
        println!(
            "{relocations:>11}  {:<10}  {all:>12}  {own:>15}  {:>15.0}",
            name.get_name(),
            own as f64 / relocations as f64
        );
    }
    Ok(())
}
