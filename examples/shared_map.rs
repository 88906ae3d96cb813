//! One map, held by threads and by a handle opened by its id, when its object is long gone.

#![allow(clippy::print_stdout, reason = "it is what the example is for")]

use std::error::Error;
use std::thread;

use purebpf::handles::TypedMap;
use purebpf::{Map, ObjectSpec};

/// One map, and a program that counts calls of getpgid in it.
const OBJECT: &[u8] = include_bytes!("../tests/bpf/minimal.bpf.o");

fn main() -> Result<(), Box<dyn Error>> {
    let object = purebpf::load(&ObjectSpec::parse(OBJECT)?)?;
    let counts = object.map("counts")?;
    let links = object.attach_all()?;
    drop(object); // the map and the links live on

    let callers: Vec<_> = (1..=3)
        .map(|number| {
            let counts = counts.clone();
            thread::spawn(move || -> Result<(), purebpf::handles::Error> {
                let counts: TypedMap<u32, u64> = counts.typed()?;
                let _group = rustix::process::getpgid(None);
                println!("thread {number} sees {:?} calls", counts.get(&0)?);
                Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.join().map_err(|_| "a thread panicked")??;
    }
    drop(links); // detaches

    let by_id: TypedMap<u32, u64> = Map::from_id(counts.id())?.typed()?;
    println!("{:?} calls in all", by_id.get(&0)?);
    Ok(())
}
