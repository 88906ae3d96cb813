//! Any text as what the kernel writes for people: symbols, functions, mappings, CPUs. The first line
//! is what is looked for in the others.

#![no_main]

use std::collections::HashSet;
use std::hint::black_box;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_handles::KernelSymbols;
use purebpf_handles::attach::texts::{
    config_bit, listed_address, matches, moved_in, symbol_address,
};
use purebpf_syscall::host::parse_cpu_list;

/// What is compared with a slow way to do the same.
const SHORT: usize = 64;

/// Whether a pattern matches, by the definition of `*` and `?`.
fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = row[0] && *wanted == b'*';
        for (at, found) in text.iter().enumerate() {
            next[at + 1] = match wanted {
                b'*' => row[at + 1] || next[at],
                _ => row[at] && (*wanted == b'?' || wanted == found),
            };
        }
        row = next;
    }
    row[text.len()]
}

fuzz_target!(|text: &str| {
    let _limits = limits::arm(text, 1 << 20, 32);
    let (pattern, text) = text.split_once('\n').unwrap_or((text, ""));
    let symbols = KernelSymbols::parse(text);
    for address in [0, 1, 0x1000, u64::MAX] {
        if let Some(found) = symbols.find(address) {
            assert!(found.start <= address && !found.name.is_empty());
        }
    }
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    let names: HashSet<String> = names.map(str::to_owned).collect();
    for line in text.lines() {
        if pattern.len() <= SHORT && line.len() <= SHORT {
            let expected = matches_slowly(pattern.as_bytes(), line.as_bytes());
            assert_eq!(matches(pattern, line), expected);
        }
        let pattern = pattern.get(..SHORT).unwrap_or(pattern);
        black_box(listed_address(line, pattern));
        black_box(symbol_address(line, pattern, &names));
    }
    for offset in [0, 0x1000, u64::MAX] {
        black_box(moved_in(text, Path::new(pattern), offset));
    }
    if let Some(cpus) = parse_cpu_list(text) {
        assert!(!cpus.is_empty() && cpus.is_sorted_by(|a, b| a < b));
    }
    assert!(config_bit(text).is_none_or(|bit| bit < 32));
});
