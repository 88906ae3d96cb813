//! Loads an object, attaches its program, waits.

use aya::programs::TracePoint;

const OBJECT: &[u8] = include_bytes!("../../../../tests/bpf/minimal.bpf.o");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut object = aya::Ebpf::load(OBJECT)?;
    let program: &mut TracePoint = object
        .program_mut("count")
        .ok_or("no program")?
        .try_into()?;
    program.load()?;
    program.attach("syscalls", "sys_enter_getpgid")?;
    println!("attached");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
