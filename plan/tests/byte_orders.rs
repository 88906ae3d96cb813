//! Objects of the same source for machines of either byte order: their plans mean the same, and
//! each is written as its kernel reads it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use purebpf_btf::Btf;
use purebpf_btf::value::{Value, decode_as};
use purebpf_insn::{Endian, Insn};
use purebpf_plan::light::LightLoader;
use purebpf_plan::{DescribedKernel, Error, MapPlan, ObjectSpec, Plan, ProgramPlan, variables};

const LINUX_7_2: u32 = 0x07_02_00;
const CONFIG: &str = "CONFIG_HZ=250\nCONFIG_BPF_SYSCALL=y\n";

/// The sources whose objects are the same but for the order of their bytes.
const SAME: [&str; 8] = [
    "arg_ctx",
    "core",
    "externs",
    "globals",
    "jumps",
    "maps",
    "minimal",
    "subprograms",
];

fn file(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bpf");
    tests.join(name)
}

/// The objects of a source: little-endian, big-endian.
fn specs(name: &str) -> [ObjectSpec; 2] {
    ["bpf.o", "bpfeb.o"].map(|ending| {
        let path = file(&format!("{name}.{ending}"));
        ObjectSpec::open(path).unwrap()
    })
}

/// The types of an s390x kernel 6.12 that the relocations of `core` need, as `purebpf btf min` wrote
/// them.
fn s390x() -> Btf {
    let bytes = std::fs::read(file("core.s390x.btf")).unwrap();
    Btf::parse(bytes).unwrap()
}

/// Kernels with these types: a little-endian one, a big-endian one.
fn kernels() -> [DescribedKernel; 2] {
    [purebpf_btf::Endian::Little, purebpf_btf::Endian::Big].map(|endian| {
        let btf = Btf::parse(s390x().to_bytes(endian)).unwrap();
        kernel(&Arc::new(btf))
    })
}

fn kernel(btf: &Arc<Btf>) -> DescribedKernel {
    let kernel = DescribedKernel::new(LINUX_7_2).config(CONFIG).symbols("");
    kernel.btf(Arc::clone(btf))
}

fn plans(name: &str) -> [Plan; 2] {
    let [little, big] = specs(name);
    let [on_little, on_big] = kernels();
    let plans = [(little, on_little), (big, on_big)];
    plans.map(|(spec, kernel)| spec.plan(&kernel).unwrap())
}

/// The instructions, and all that comes with them.
fn code(program: &ProgramPlan) -> String {
    let mut code = program.check().unwrap().clone();
    // Two words that a compiler writes as one constant are there as memory has them.
    for at in 1..code.insns.len() {
        if let [first, second] = &mut code.insns[at - 1..=at]
            && first.is_ld_imm64()
            && first.src() == 0
            && first.imm > second.imm
        {
            std::mem::swap(&mut first.imm, &mut second.imm);
        }
    }
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        code.insns, code.references, code.jump_tables, code.func_info, code.line_info
    )
}

/// A map without its contents.
fn attributes(map: &MapPlan) -> String {
    let mut map = map.clone();
    map.contents = None;
    format!("{map:?}")
}

/// The values of the variables in a map.
fn values(spec: &ObjectSpec, plan: &Plan, map: usize) -> Vec<(String, Value)> {
    let declared = spec.maps().nth(map).unwrap();
    let (Some(btf), Some(section)) = (spec.btf(), declared.section()) else {
        return Vec::new();
    };
    let contents = plan.maps[map].contents.as_deref();
    let variables = variables(btf, section).into_iter();
    variables
        .filter_map(|variable| {
            let bytes = contents?.get(variable.offset as usize..)?;
            let value = decode_as(
                btf,
                variable.ty,
                &bytes[..variable.size as usize],
                btf.endian(),
            );
            Some((variable.name, value.unwrap()))
        })
        .collect()
}

#[test]
fn plans_of_either_byte_order_mean_the_same() {
    for name in SAME {
        let [little, big] = plans(name);
        assert_eq!((little.endian, big.endian), (Endian::Little, Endian::Big));
        let specs = specs(name);
        assert_eq!(little.maps.len(), big.maps.len(), "{name}");
        for (index, maps) in little.maps.iter().zip(&big.maps).enumerate() {
            assert_eq!(attributes(maps.0), attributes(maps.1), "{name}");
            let [a, b] = [(&specs[0], &little), (&specs[1], &big)]
                .map(|(spec, plan)| values(spec, plan, index));
            assert_eq!(a, b, "{name}");
        }
        assert_eq!(little.programs.len(), big.programs.len(), "{name}");
        for (a, b) in little.programs.iter().zip(&big.programs) {
            assert_eq!(code(a), code(b), "{name}: {}", a.name);
        }
        let types = [&little, &big].map(|plan| {
            let btf = Btf::parse(plan.btf.clone().unwrap()).unwrap();
            (btf.to_bytes(purebpf_btf::Endian::Big), btf.endian())
        });
        assert_eq!(types[0].0, types[1].0, "{name}");
        assert_ne!(types[0].1, types[1].1, "{name}");
    }
}

#[test]
fn a_kernel_of_the_other_byte_order_is_refused() {
    let [little, big] = specs("minimal");
    let [on_little, on_big] = kernels();
    let refused = |spec: &ObjectSpec, kernel| spec.plan(kernel).unwrap_err();
    assert!(matches!(
        refused(&little, &on_big),
        Error::ByteOrder {
            object: Endian::Little,
            kernel: Endian::Big
        }
    ));
    assert_eq!(
        refused(&big, &on_little).to_string(),
        "the object is big-endian, the kernel little-endian"
    );
    // Of a kernel without BTF nobody knows.
    for spec in [little, big] {
        assert!(spec.plan(&DescribedKernel::new(LINUX_7_2)).is_ok());
    }
}

#[test]
fn fields_are_where_a_big_endian_kernel_has_them() {
    let [_, big] = plans("core");
    let code = big.programs[0].check().unwrap();
    // `task_struct.pid` and `task_struct.mm`, from the kernel's BTF.
    let is_added = |value| {
        code.insns
            .iter()
            .any(|insn| insn.code == 0xb7 && insn.imm == value)
    };
    assert!(is_added(15360 / 8) && is_added(14336 / 8));
}

#[test]
fn bit_fields_are_shifted_as_the_kernels_machine_has_them() {
    let shifts = specs("bits").map(|spec| {
        let plan = spec.plan(&kernel(spec.btf().unwrap())).unwrap();
        let insns = &plan.programs[0].check().unwrap().insns;
        let is_load = |insn: &&Insn| insn.code == 0xb7 && insn.imm > 0;
        let loads = insns.iter().filter(is_load).map(|insn| insn.imm);
        loads.take(3).collect::<Vec<_>>()
    });
    // Bits 3 to 10 and 10 to 21 of a word of 32 bits that is loaded as one of 64, and 21 to 61 of one
    // of 64; counted from the end that is the machine's first.
    assert_eq!(shifts[0], [64 - 10, 64 - 21, 64 - 61]);
    assert_eq!(shifts[1], [32 + 3, 32 + 10, 21]);
}

#[test]
fn values_of_the_configuration_are_in_the_objects_byte_order() {
    let [little, big] = plans("externs");
    let config = |plan: &Plan| {
        let map = plan.maps.iter().find(|map| map.name.ends_with("kconfig"));
        map.unwrap().contents.clone().unwrap()
    };
    let (little, big) = (config(&little), config(&big));
    assert!(little.windows(4).any(|word| word == 250u32.to_le_bytes()));
    assert!(big.windows(4).any(|word| word == 250u32.to_be_bytes()));
    assert!(big.windows(4).any(|word| word == LINUX_7_2.to_be_bytes()));
}

#[test]
fn information_is_written_in_the_kernels_byte_order() {
    let [_, big] = plans("subprograms");
    let code = big.programs[0].check().unwrap();
    let info = code.func_info.as_ref().unwrap();
    let words = info.to_bytes(Endian::Big);
    let host: Vec<u8> = words
        .chunks_exact(4)
        .flat_map(|word| u32::from_be_bytes(word.try_into().unwrap()).to_ne_bytes())
        .collect();
    assert_eq!(host, info.records);
    // The second function begins behind the first instruction.
    assert!(u32::from_be_bytes(words[8..12].try_into().unwrap()) < 1000);
}

#[test]
fn what_is_made_of_a_kernels_btf_keeps_its_byte_order() {
    let s390x = s390x();
    let deduplicated = s390x.dedup().unwrap().btf;
    assert_eq!(s390x.endian(), purebpf_btf::Endian::Big);
    assert_eq!(deduplicated.endian(), purebpf_btf::Endian::Big);
}

#[test]
fn a_loader_program_has_the_configuration_in_its_byte_order() {
    let [_, big] = specs("externs");
    let [_, on_big] = kernels();
    let loader = LightLoader::generate(&big, &on_big).unwrap();
    assert_eq!(loader.endian, Endian::Big);
    assert!(
        loader
            .data
            .windows(4)
            .any(|word| word == 250u32.to_be_bytes())
    );
}
