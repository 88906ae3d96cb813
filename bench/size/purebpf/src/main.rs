//! Loads an object, attaches its program, waits.

use purebpf::ObjectSpec;

const OBJECT: &[u8] = include_bytes!("../../../../tests/bpf/minimal.bpf.o");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let object = purebpf::load(&ObjectSpec::parse(OBJECT)?)?;
    let _links = object.attach_all()?;
    println!("attached");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
