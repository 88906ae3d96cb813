//! Every program of the objects of a folder, by itself, attached to what its section says by libbpf
//! and by purebpf.

use std::path::Path;

use purebpf::{Error, Loader, ObjectSpec};

use crate::loaded::Loaded;
use crate::{messages, workers};

/// Prints the programs that only one side attaches, and how many fared how.
pub fn run(folder: &Path) -> anyhow::Result<()> {
    let loader = Loader::new();
    let [mut both, mut neither] = [0_usize; 2];
    // By libbpf alone, by purebpf alone.
    let mut one = [0_usize; 2];
    for file in workers::objects(folder)? {
        let Ok(spec) = ObjectSpec::open(&file) else {
            continue;
        };
        for program in spec.programs() {
            let name = &program.name;
            messages::take();
            let theirs = by_libbpf(&file, name);
            let ours = by_purebpf(&loader, &spec, name);
            match (&theirs, &ours) {
                (Ok(()), Ok(())) => both += 1,
                (Err(_), Err(_)) => neither += 1,
                _ => {
                    one[usize::from(ours.is_ok())] += 1;
                    let label = file.file_name().unwrap_or_default().to_string_lossy();
                    println!("{label} {name} ({})", program.section);
                    println!("    libbpf: {theirs:?}, purebpf: {ours:?}");
                }
            }
        }
    }
    let [libbpf, purebpf] = one;
    println!(
        "attached by both {both}, by neither {neither}, by libbpf {libbpf}, by purebpf {purebpf}"
    );
    anyhow::ensure!(libbpf == 0, "libbpf alone attaches {libbpf} programs");
    Ok(())
}

fn by_libbpf(file: &Path, name: &str) -> anyhow::Result<()> {
    Ok(Loaded::new(file, name)?.attach()?)
}

fn by_purebpf(loader: &Loader, spec: &ObjectSpec, name: &str) -> Result<(), Error> {
    let mut alone = spec.clone();
    alone.load_only([name])?;
    loader.load(&alone)?.attach(name).map(drop)
}
