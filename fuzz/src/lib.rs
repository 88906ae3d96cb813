//! What the fuzz targets share.
//!
//! ```text
//! fuzz_targets/      a file for each target: what is done with the bytes
//! examples/seeds.rs  inputs to begin with, made of the fixtures
//! seeds/             the few that nothing makes; kconfig.dict: words for one target
//! limits.rs          the memory and the time that an input may take
//! mutate/            inputs changed by what their bytes mean
//! relocations.rs     relocations of CO-RE
//! skeleton.rs        an object out of the contents of its sections
//! shared.rs          memory in the place of a map's
//! walk.rs            everything that can be asked of a BTF, and writing it again
//! ```
//!
//! A target fails if the library panics, takes more than its input is worth, or breaks a promise that
//! the target asserts. `cargo xtask fuzz` runs them all.

#![forbid(unsafe_code)]

pub mod limits;
pub mod mutate;
pub mod relocations;
pub mod shared;
pub mod skeleton;
mod walk;

pub use walk::{walk, write};

use std::sync::Arc;

use purebpf_btf::Btf;
use purebpf_plan::light::LightLoader;
use purebpf_plan::{DescribedKernel, ObjectSpec, Plan};

/// Inputs of this target are changed by this [`mutate::Change`], or as the fuzzer does it.
#[macro_export]
macro_rules! mutator {
    ($change:path) => {
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max: usize, seed: u32| {
            $crate::mutate::mutate(data, size, max, seed, $change)
        });
    };
}

/// Kernel versions to plan for: as old as it gets, and as new.
pub const VERSIONS: [u32; 2] = [0x04_12_00, 0x07_02_00];

/// Two inputs in one: two bytes say, in little-endian order, how long the first is.
#[must_use]
pub fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = data.split_first_chunk() else {
        return (&[], &[]);
    };
    let len = usize::from(u16::from_le_bytes(*len));
    rest.split_at_checked(len).unwrap_or((rest, &[]))
}

/// What [`halves`] takes apart.
///
/// # Panics
/// If the first is longer than 65535 bytes.
#[must_use]
pub fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    let len = u16::try_from(first.len()).expect("it fits");
    [&len.to_le_bytes(), first, second].concat()
}

/// A kernel with these types and little else.
#[must_use]
pub fn kernel(version: u32, btf: Option<Arc<Btf>>) -> DescribedKernel {
    let kernel = DescribedKernel::new(version)
        .config("CONFIG_HZ=250\nCONFIG_BPF_SYSCALL=y\nCONFIG_DEFAULT_HOSTNAME=\"(none)\"\n")
        .symbols("ffffffff81000000 T _text\nffffffff81000040 t do_nothing\t[module]\n")
        .possible_cpus(4);
    match btf {
        Some(btf) => kernel.btf(btf),
        None => kernel,
    }
}

/// A loader program has room for all variables, whatever of them is in the file; so many bytes here.
const MOST_VARIABLES: u32 = 1 << 16;

/// Plans an object for an old and a new kernel whose types are those of the object itself, so that
/// relocations find something; and writes its loader program.
///
/// # Panics
/// If planning it twice gives two plans.
pub fn plan_twice(spec: &mut ObjectSpec) {
    let maps = spec.maps().filter(|map| map.origin.is_internal());
    let variables = maps.fold(0, |sum: u32, map| sum.saturating_add(map.value_size));
    for version in VERSIONS {
        let kernel = kernel(version, spec.btf().cloned());
        if variables <= MOST_VARIABLES {
            std::hint::black_box(LightLoader::generate(spec, &kernel).is_ok());
        }
        let Some(first) = plan(spec, &kernel) else {
            continue;
        };
        let second = plan(spec, &kernel).expect("what was planned can be planned again");
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }
}

/// Plans all programs of an object, and reads of the plan what a user would.
#[must_use]
pub fn plan(spec: &mut ObjectSpec, kernel: &DescribedKernel) -> Option<Plan> {
    spec.programs_mut()
        .for_each(|program| program.autoload = true);
    let plan = spec.plan(kernel).ok()?;
    for code in plan
        .programs
        .iter()
        .filter_map(|program| program.code.as_ref().ok())
    {
        for (_, text) in purebpf_insn::disasm::disassemble(&code.insns) {
            std::hint::black_box(text.to_string());
        }
        let last = code.insns.len().saturating_sub(1);
        std::hint::black_box(code.source_line(last));
        // Whoever loads the plan writes an fd to each of these places.
        assert!(
            code.references
                .iter()
                .all(|reference| reference.insn <= last)
        );
        assert!(code.references.is_sorted_by_key(|reference| reference.insn));
    }
    Some(plan)
}
