//! Objects of many parts: the time that they take grows as they do, not with its square.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use purebpf_btf::{BtfBuilder, Endian, IntEncoding, Linkage};
use purebpf_plan::{DescribedKernel, ObjectSpec, Plan};
use support::{CODE, DATA, Elf, FUNCTION, OBJECT, PROGBITS, REL, RETURN, longs, words};

const PARTS: u32 = 30_000;
/// How often each variable is used.
const LOADS: u32 = 8;

/// A second each; with the square of time nobody would wait for the end.
fn plan(elf: Elf) -> Plan {
    let spec = ObjectSpec::parse(elf.finish()).unwrap();
    let plan = spec.plan(&DescribedKernel::new(0x06_00_00)).unwrap();
    for program in &plan.programs {
        program.check().unwrap();
    }
    plan
}

#[test]
fn many_program_sections_with_function_information_take_no_square_of_time() {
    let mut elf = Elf::new();
    let mut btf = BtfBuilder::new();
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let proto = btf.add_func_proto(int, &[]).unwrap();
    let mut list = vec![8];
    for index in 0..PARTS {
        let section = format!("raw_tp/event{index}");
        let name = format!("program{index}");
        let code = elf.section(&section, PROGBITS, CODE, [0, 0], &RETURN);
        elf.symbol(&name, FUNCTION, code, 16);
        let function = btf.add_func(&name, Linkage::GLOBAL, proto).unwrap();
        list.extend([btf.add_str(&section).unwrap(), 1, 0, function.0]);
    }
    let len = list.len() as u32 * 4;
    let ext = words(&[&[0x0001_eb9f, 24, 0, len, len, 0], &list[..]].concat());
    let btf = btf.to_bytes(Endian::Little).unwrap();
    elf.section(".BTF", PROGBITS, 0, [0, 0], &btf);
    elf.section(".BTF.ext", PROGBITS, 0, [0, 0], &ext);
    let plan = plan(elf);
    assert_eq!(plan.programs.len(), PARTS as usize);
    let code = plan.programs.last().unwrap().check().unwrap();
    assert_eq!(code.func_info.as_ref().unwrap().count(), 1);
}

#[test]
fn many_data_sections_take_no_square_of_time() {
    let mut elf = Elf::new();
    let (mut insns, mut relocations) = (Vec::new(), Vec::new());
    for index in 0..PARTS {
        let name = format!(".data.x{index}");
        let data = elf.section(&name, PROGBITS, DATA, [0, 0], &[1; 8]);
        let symbol = elf.symbol(&format!("x{index}"), OBJECT, data, 8);
        for _ in 0..LOADS {
            relocations.extend(longs(&[insns.len() as u64, symbol << 32 | 1]));
            insns.extend([0x18, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
    }
    insns.extend(RETURN);
    let code = elf.section("raw_tp/event", PROGBITS, CODE, [0, 0], &insns);
    elf.symbol("program", FUNCTION, code, insns.len() as u64);
    // Two behind is the table of symbols.
    elf.section(
        ".relraw_tp/event",
        REL,
        0x40,
        [code + 2, code],
        &relocations,
    );
    let plan = plan(elf);
    assert_eq!(plan.maps.len(), PARTS as usize);
    let code = plan.programs[0].check().unwrap();
    assert_eq!(code.references.len(), (PARTS * LOADS) as usize);
}
