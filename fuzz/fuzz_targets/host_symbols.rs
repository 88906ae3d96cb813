//! Any bytes as an executable or a library of the host.

#![no_main]

use std::cell::RefCell;
use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_elf::host::Executable;
use purebpf_fuzz::{limits, mutate};

/// Each is looked for in the whole file.
const NAMES: usize = 8;

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let Ok(executable) = Executable::parse(data) else {
        return;
    };
    black_box((
        executable.build_id().is_ok(),
        executable.debug_link().is_ok(),
    ));
    let executable = match executable.clone().with_debug_file(data) {
        Ok(whole) => whole,
        Err(_) => executable,
    };
    let names = RefCell::new(Vec::new());
    let collect = |name: &str| {
        let mut names = names.borrow_mut();
        if names.len() < NAMES {
            names.push(name.to_owned());
        }
        true
    };
    black_box(executable.matching_offsets(collect).is_ok());
    let names = names.into_inner();
    for name in &names {
        black_box(executable.symbol_offset(name).is_ok());
        black_box(executable.symbol_offset(&format!("{name}@ONE")).is_ok());
    }
    let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    wanted.extend(["second@@TWO", "missing", ""]);
    if let Ok(found) = executable.symbol_offsets(&wanted) {
        assert_eq!(found.len(), wanted.len());
    }
});

purebpf_fuzz::mutator!(mutate::elf::change);
