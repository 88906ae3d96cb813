//! Hostile files: every fixture cut at every byte, and with every byte changed, is read and planned
//! without a panic. All of them in a release build, a sample in others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::sync::Arc;

use purebpf::ObjectSpec;
use purebpf::btf::Btf;
use purebpf::plan::DescribedKernel;
use support::fixture;

const STEP: usize = if cfg!(debug_assertions) { 53 } else { 1 };

fn fixtures() -> Vec<Vec<u8>> {
    let folder = fixture("minimal.bpf.o");
    let folder = folder.parent().unwrap_or(Path::new("."));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "o"));
    files.sort();
    assert!(files.len() >= 10);
    files
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// A kernel whose types are those of the object itself, so that relocations find something.
fn kernel(object: &[u8]) -> DescribedKernel {
    let btf = purebpf::elf::find_section(object, ".BTF").unwrap().unwrap();
    let btf = Arc::new(Btf::parse(btf).unwrap());
    DescribedKernel::new(0x05_0a_00)
        .btf(btf)
        .config("CONFIG_HZ=250\n")
        .symbols("")
}

fn read_and_plan(bytes: &[u8], kernel: &DescribedKernel) -> bool {
    let Ok(mut spec) = ObjectSpec::parse(bytes) else {
        return false;
    };
    spec.programs_mut()
        .for_each(|program| program.autoload = true);
    let Ok(plan) = spec.plan(kernel) else {
        return false;
    };
    plan.programs.iter().all(|program| program.check().is_ok())
}

#[test]
fn files_cut_at_every_byte_are_errors() {
    for file in fixtures() {
        let kernel = kernel(&file);
        for end in (0..file.len()).step_by(STEP) {
            assert!(!read_and_plan(&file[..end], &kernel), "cut at {end}");
        }
    }
}

#[test]
fn files_with_any_byte_changed_never_panic() {
    for file in fixtures() {
        let kernel = kernel(&file);
        let mut changed = file.clone();
        for at in (0..file.len()).step_by(STEP) {
            for value in [!file[at], 0, 0xff, file[at].wrapping_add(1)] {
                changed[at] = value;
                read_and_plan(&changed, &kernel);
            }
            changed[at] = file[at];
        }
        assert_eq!(changed, file);
    }
}
