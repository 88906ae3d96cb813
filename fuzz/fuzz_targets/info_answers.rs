//! Any bytes as what the kernel tells of an object: counts and lengths that are asked again with, errors,
//! names without an end.

#![no_main]

use std::fmt::Debug;
use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_syscall::{CallError, answers};

/// As much as the library takes for what an object may have at most: a link has three lists, functions
/// are addresses and sizes, and then pairs of them.
const MOST: usize = 4 * (128 << 20);

fn told<T: Debug>(answer: Result<T, CallError>) {
    // A text of all of it would be longer than what is looked at here.
    drop(black_box(answer.map_err(|error| error.to_string())));
}

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, MOST + (1 << 20), 32);
    let Some((which, given)) = data.split_first() else {
        return;
    };
    match which % 10 {
        0 => told(answers::map_info(given)),
        1 => told(answers::prog_info(given)),
        2 => told(answers::prog_map_ids(given)),
        3 => told(answers::prog_instructions(given)),
        4 => told(answers::prog_jited(given)),
        5 => told(answers::prog_jited_functions(given)),
        6 => told(answers::prog_line_info(given)),
        7 => told(answers::btf_info(given)),
        8 => told(answers::btf_data(given)),
        _ => told(answers::link_info(given)),
    }
});
