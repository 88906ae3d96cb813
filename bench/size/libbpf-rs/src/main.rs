//! Loads an object, attaches its program, waits.

use libbpf_rs::ObjectBuilder;

const OBJECT: &[u8] = include_bytes!("../../../../tests/bpf/minimal.bpf.o");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let object = ObjectBuilder::default().open_memory(OBJECT)?.load()?;
    let links: Result<Vec<_>, _> = object.progs_mut().map(|program| program.attach()).collect();
    let _links = links?;
    println!("attached");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
