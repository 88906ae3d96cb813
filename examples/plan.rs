//! What would be loaded on a kernel, without having one: maps and final instructions of an object.
//!
//! ```sh
//! cargo run --example plan -- FILE [BTF OF THE KERNEL]
//! cargo run --example plan -- cli/bpf/processes.bpf.o /sys/kernel/btf/vmlinux
//! ```

#![allow(clippy::print_stdout, reason = "it is what the example is for")]

use std::error::Error;
use std::sync::Arc;

use purebpf::ObjectSpec;
use purebpf::btf::Btf;
use purebpf::insn::disasm::disassemble;
use purebpf::plan::DescribedKernel;

const LINUX_6_12: u32 = 0x06_0c_00;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: plan FILE [BTF]")?;
    let mut kernel = DescribedKernel::new(LINUX_6_12);
    if let Some(btf) = arguments.next() {
        kernel = kernel.btf(Arc::new(Btf::parse(std::fs::read(btf)?)?));
    }

    let plan = ObjectSpec::open(file)?.plan(&kernel)?;
    for map in &plan.maps {
        println!("map {}: {:?}", map.name, map.map_type);
    }
    for program in &plan.programs {
        let code = program.check().map_err(Clone::clone)?;
        println!("program {} ({})", program.name, program.section);
        for (index, text) in disassemble(&code.insns) {
            println!("{index:5}: {text}");
        }
    }
    Ok(())
}
