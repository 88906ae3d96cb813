//! What libbpf-rs and aya make of an object: whether they load it, and nothing else.

use std::path::Path;

use anyhow::bail;
use aya::programs::Program;

/// Opens and loads with libbpf-rs.
pub fn libbpf_rs(path: &Path) -> anyhow::Result<()> {
    let object = libbpf_rs::ObjectBuilder::default()
        .open_file(path)?
        .load()?;
    drop(object);
    Ok(())
}

/// Opens and loads with aya, which wants each program to be loaded by itself.
pub fn aya(path: &Path) -> anyhow::Result<()> {
    let mut object = aya::Ebpf::load_file(path)?;
    for (name, program) in object.programs_mut() {
        match program {
            Program::TracePoint(program) => program.load()?,
            Program::RawTracePoint(program) => program.load()?,
            _ => bail!("program {name}: neither a tracepoint nor a raw tracepoint"),
        }
    }
    Ok(())
}
