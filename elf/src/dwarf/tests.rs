//! The program that probes are set on: its debug information is in a file of its own.

use super::*;
use crate::host::Executable;

const PROBED: &[u8] = include_bytes!("../../../tests/host/probed");
const DEBUG: &[u8] = include_bytes!("../../../tests/host/probed.debug");
const SOURCE: &str = include_str!("../../../tests/host/probed.c");

fn line_of(text: &str) -> u64 {
    let at = SOURCE.lines().position(|line| line.contains(text)).unwrap();
    at as u64 + 1
}

#[test]
fn a_function_begins_where_its_symbol_is() {
    let debug = DebugInfo::parse(DEBUG).unwrap();
    let host = Executable::parse(PROBED).unwrap();
    let host = host.with_debug_file(DEBUG).unwrap();
    for name in ["first", "second", "_start"] {
        let found = debug.functions(name).unwrap();
        let offset = host.offsets_of(&found).unwrap()[0];
        assert_eq!(
            (found.len(), offset),
            (1, host.symbol_offset(name).unwrap())
        );
    }
    assert_eq!(debug.functions("twice"), Ok(vec![]));
    assert_eq!(debug.functions("third"), Ok(vec![]));
}

#[test]
fn an_inlined_function_has_a_place_in_each_that_it_went_into() {
    let debug = DebugInfo::parse(DEBUG).unwrap();
    let of = |name| debug.functions(name).unwrap()[0];
    let copies = debug.inlined("twice").unwrap();
    let (first, second) = (of("first"), of("second"));
    assert!(
        matches!(copies[..], [a, b] if (first..second).contains(&a) && b >= second),
        "{copies:x?} {first:x} {second:x}"
    );
    assert_eq!(debug.inlined("first"), Ok(vec![]));
}

#[test]
fn a_line_begins_once_in_each_function_that_it_is_in() {
    let debug = DebugInfo::parse(DEBUG).unwrap();
    let inside = debug
        .line("probed.c", line_of("__asm__ volatile(\"\" :"))
        .unwrap();
    assert_eq!((inside.addresses.len(), inside.is_known_file), (2, true));
    let sum = debug.line("./probed.c", line_of("sum += twice")).unwrap();
    assert_eq!(sum.addresses.len(), 1);

    let none = debug.line("probed.c", 1).unwrap();
    assert_eq!(
        (none.addresses.len(), none.next),
        (0, Some(line_of("__asm__ volatile(\"\" :")))
    );
    assert!(!debug.line("robed.c", 1).unwrap().is_known_file);
}

/// Found by the fuzzer: a function that ends behind the last address there can be.
#[test]
fn code_that_wraps_around_is_refused() {
    let mut debug = DEBUG.to_vec();
    let addresses = crate::find_section(DEBUG, ".debug_addr").unwrap().unwrap();
    let place = debug
        .windows(addresses.len())
        .position(|bytes| bytes == addresses);
    // The first address comes behind a header of eight bytes.
    let first = &mut debug[place.unwrap() + 8..][..8];
    first.copy_from_slice(&(u64::MAX - 1).to_le_bytes());
    let line = line_of("__asm__ volatile(\"\" :");
    let found = DebugInfo::parse(debug).unwrap().line("probed.c", line);
    assert_eq!(
        found,
        Err(DwarfError::Format(gimli::Error::AddressOverflow))
    );
}

#[test]
fn a_file_without_debug_information_says_so() {
    assert_eq!(DebugInfo::parse(PROBED).unwrap_err(), DwarfError::None);
    let error = DebugInfo::parse(b"no ELF").unwrap_err();
    assert!(matches!(error, DwarfError::Elf(_)), "{error}");
}
