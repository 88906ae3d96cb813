//! Binaries built by hand, one rule each.

use super::*;

const WEAK: u8 = 2 << 4 | 2;
const GLOBAL: u8 = 1 << 4 | 2;

struct Sym {
    name: &'static str,
    info: u8,
    section: u16,
    value: u64,
    version: u16,
}

const fn sym(name: &'static str, info: u8, section: u16, value: u64, version: u16) -> Sym {
    Sym {
        name,
        info,
        section,
        value,
        version,
    }
}

/// Section 1 is text at address 0x1000, file offset 0x400.
fn file(dynamic: &[Sym], full: &[Sym], versions: &[(u16, &str)]) -> Executable {
    let mut strings = vec![0];
    let mut string = |text: &str| {
        let at = strings.len() as u32;
        strings.extend(text.bytes().chain([0]));
        at
    };
    let mut table = |symbols: &[Sym]| {
        let mut bytes = vec![0; 24];
        for symbol in symbols {
            bytes.extend(string(symbol.name).to_le_bytes());
            bytes.extend([symbol.info, 0]);
            bytes.extend(symbol.section.to_le_bytes());
            bytes.extend(symbol.value.to_le_bytes());
            bytes.extend([0; 8]);
        }
        bytes
    };
    let (dynsym, symtab) = (table(dynamic), table(full));
    let versym: Vec<u8> = std::iter::once(0)
        .chain(dynamic.iter().map(|symbol| symbol.version))
        .flat_map(u16::to_le_bytes)
        .collect();
    let mut verdef = Vec::new();
    for (index, (number, name)) in versions.iter().enumerate() {
        let next = if index + 1 == versions.len() {
            0
        } else {
            28_u32
        };
        for half in [1, 0, *number, 1] {
            verdef.extend(half.to_le_bytes());
        }
        for word in [0, 20, next, string(name), 0] {
            verdef.extend(word.to_le_bytes());
        }
    }
    // type, address, link, info, entry size, contents
    type Raw<'a> = (u32, u64, u32, u32, u64, &'a [u8]);
    let sections: [Raw<'_>; 7] = [
        (0, 0, 0, 0, 0, &[]),
        (1, 0x1000, 0, 0, 0, &[]),
        (3, 0, 0, 0, 0, &strings),
        (11, 0, 2, 1, 24, &dynsym),
        (2, 0, 2, 1, 24, &symtab),
        (0x6fff_ffff, 0, 3, 0, 2, &versym),
        (0x6fff_fffd, 0, 2, versions.len() as u32, 0, &verdef),
    ];
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    bytes.resize(16, 0);
    bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    bytes.extend([0_u64, 0, 64].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend([0; 4]);
    bytes.extend(
        [64_u16, 0, 0, 64, 7, 2]
            .iter()
            .flat_map(|half| half.to_le_bytes()),
    );
    let mut contents = Vec::new();
    for (kind, address, link, info, entry_size, data) in sections {
        let offset = if kind == 1 {
            0x400
        } else {
            64 + 7 * 64 + contents.len() as u64
        };
        let offset = if kind == 0 { 0 } else { offset };
        bytes.extend([0, kind].iter().flat_map(|word: &u32| word.to_le_bytes()));
        for word in [0, address, offset, data.len() as u64] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([link, info].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend([1, entry_size].iter().flat_map(|word| word.to_le_bytes()));
        contents.extend(data);
        contents.resize(contents.len().next_multiple_of(8), 0);
    }
    bytes.extend(contents);
    Executable::parse(bytes).unwrap()
}

#[test]
fn offset_is_of_the_file_not_of_memory() {
    let file = file(&[], &[sym("run", GLOBAL, 1, 0x1234, 0)], &[]);
    assert_eq!(file.symbol_offset("run"), Ok(Some(0x634)));
    assert_eq!(file.symbol_offset("ru"), Ok(None));
    assert_eq!(file.symbol_offset("runs"), Ok(None));
}

#[test]
fn dynamic_symbols_come_first_and_undefined_ones_do_not_count() {
    let full = [
        sym("a", GLOBAL, 1, 0x1010, 0),
        sym("b", GLOBAL, 1, 0x1020, 0),
    ];
    let dynamic = [sym("a", GLOBAL, 1, 0x1030, 0), sym("b", GLOBAL, 0, 0, 0)];
    let file = file(&dynamic, &full, &[]);
    assert_eq!(file.symbol_offset("a"), Ok(Some(0x430)));
    assert_eq!(file.symbol_offset("b"), Ok(Some(0x420)));
    let offsets = file.symbol_offsets(&["b", "none", "a"]);
    assert_eq!(offsets, Ok(vec![Some(0x420), None, Some(0x430)]));
    assert_eq!(file.matching_offsets(|_| true), Ok(vec![0x410, 0x420]));
}

#[test]
fn objects_and_absolute_symbols_are_passed_over() {
    let object = sym("a", 1 << 4 | 1, 1, 0x1010, 0);
    let file = file(&[], &[object, sym("b", GLOBAL, 0xfff1, 5, 0)], &[]);
    assert_eq!(file.symbol_offset("a"), Ok(None));
    assert_eq!(file.symbol_offset("b"), Ok(None));
}

#[test]
fn strong_symbol_wins_over_weak_in_either_order() {
    let (weak, strong) = (sym("a", WEAK, 1, 0x1010, 0), sym("a", GLOBAL, 1, 0x1020, 0));
    let other = sym("a", GLOBAL, 1, 0x1030, 0);
    let symbols = [weak, strong];
    assert_eq!(file(&[], &symbols, &[]).symbol_offset("a"), Ok(Some(0x420)));
    let [weak, strong] = symbols;
    let symbols = [strong, weak];
    assert_eq!(file(&[], &symbols, &[]).symbol_offset("a"), Ok(Some(0x420)));
    let [strong, _] = symbols;
    let error = HostError::Ambiguous {
        symbol: "a".into(),
        first: 0x420,
        second: 0x430,
    };
    let file = file(&[], &[strong, other], &[]);
    assert_eq!(file.symbol_offset("a"), Err(error.clone()));
    assert_eq!(file.symbol_offsets(&["a"]), Err(error));
}

#[test]
fn version_chooses_among_dynamic_symbols() {
    let dynamic = [
        sym("f", GLOBAL, 1, 0x1010, 0x8002),
        sym("f", GLOBAL, 1, 0x1020, 3),
    ];
    let file = file(&dynamic, &[], &[(1, "lib.so"), (2, "LIB_1"), (3, "LIB_2")]);
    assert_eq!(file.symbol_offset("f@LIB_1"), Ok(Some(0x410)));
    assert_eq!(file.symbol_offset("f@@LIB_2"), Ok(Some(0x420)));
    assert_eq!(file.symbol_offset("f@LIB_3"), Ok(None));
    assert!(matches!(
        file.symbol_offset("f"),
        Err(HostError::Ambiguous { .. })
    ));
}

#[test]
fn version_is_part_of_the_name_in_the_full_table() {
    let full = [
        sym("f@@V2", GLOBAL, 1, 0x1010, 0),
        sym("f@V1", WEAK, 1, 0x1020, 0),
    ];
    let file = file(&[], &full, &[]);
    assert_eq!(file.symbol_offset("f@@V2"), Ok(Some(0x410)));
    assert_eq!(file.symbol_offset("f@V1"), Ok(Some(0x420)));
    assert_eq!(file.symbol_offset("f@V2"), Ok(None));
    assert_eq!(file.symbol_offset("f"), Ok(Some(0x410)));
}

#[test]
fn cut_or_damaged_files_are_errors_or_answers() {
    let dynamic = [sym("f", GLOBAL, 1, 0x1010, 2)];
    let whole = file(&dynamic, &[sym("g", WEAK, 1, 0x1020, 0)], &[(2, "V")]);
    let whole = whole.bytes().unwrap().to_vec();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        for bytes in [damaged, whole[..at].to_vec()] {
            let Ok(file) = Executable::parse(bytes) else {
                continue;
            };
            drop(file.symbol_offset("f@V"));
            drop(file.symbol_offsets(&["f", "g"]));
            drop(file.matching_offsets(|_| true));
        }
    }
    assert_eq!(
        Executable::parse(vec![0; 64]).unwrap_err(),
        HostError::NotElf
    );
}

#[test]
fn this_program_has_its_own_functions() {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let file = Executable::parse(bytes).unwrap();
    assert!(file.symbol_offset("main").unwrap().is_some());
}

/// The bytes of a file, and where the contents of a section begin in it.
fn bytes_and_section(file: &Executable, section: usize) -> (Vec<u8>, usize) {
    let bytes = file.bytes().unwrap().to_vec();
    let field = 64 + section * 64 + 24;
    let offset = u64::from_le_bytes(*bytes[field..].first_chunk().unwrap());
    (bytes, offset as usize)
}

#[test]
fn names_that_overlap_without_measure_are_an_error() {
    static LONG: [u8; 20_000] = [b'x'; 20_000];
    let long = std::str::from_utf8(&LONG).unwrap();
    let symbols: Vec<Sym> = std::iter::once(long)
        .chain(std::iter::repeat_n("y", 500))
        .map(|name| sym(name, GLOBAL, 1, 0x1234, 0))
        .collect();
    let file = file(&[], &symbols, &[]);
    assert_eq!(file.symbol_offset("y"), Ok(Some(0x634)));
    let (mut bytes, table) = bytes_and_section(&file, 4);
    for index in 1..500 {
        bytes[table + index * 24..][..4].copy_from_slice(&(index as u32).to_le_bytes());
    }
    let file = Executable::parse(bytes).unwrap();
    let what = "the names overlap too much".to_owned();
    let table = "symbols";
    assert_eq!(
        file.symbol_offset("y"),
        Err(HostError::Table { table, what })
    );
}

#[test]
fn name_without_an_end_is_an_error() {
    let file = file(&[], &[sym("run", GLOBAL, 1, 0x1234, 0)], &[]);
    let (mut bytes, strings) = bytes_and_section(&file, 2);
    bytes[strings + "\0run".len()] = b'y';
    let file = Executable::parse(bytes).unwrap();
    assert!(matches!(
        file.symbol_offset("run"),
        Err(HostError::Table { .. })
    ));
}

const PROBED: &[u8] = include_bytes!("../../../tests/host/probed");
const PROBED_DEBUG: &[u8] = include_bytes!("../../../tests/host/probed.debug");

#[test]
fn what_was_cut_off_is_found_in_the_debug_file() {
    let stripped = Executable::parse(PROBED).unwrap();
    assert_eq!(stripped.symbol_offset("first"), Ok(None));
    let link = stripped.debug_link().unwrap().unwrap();
    assert_eq!(link.name, "probed.debug");
    let debug = Executable::parse(PROBED_DEBUG).unwrap();
    let id = stripped.build_id().unwrap();
    assert_eq!(id.as_ref().map(Vec::len), Some(20));
    assert_eq!(id, debug.build_id().unwrap());

    let whole = stripped.clone().with_debug_file(PROBED_DEBUG).unwrap();
    let first = whole.symbol_offset("first").unwrap().unwrap();
    assert_eq!(
        whole.offsets_of(&[0x40_0000 + first, 1]),
        Ok(vec![Some(first), None])
    );
    let both = whole.symbol_offsets(&["first", "second", "third"]).unwrap();
    assert!(matches!(both[..], [Some(a), Some(b), None] if a == first && b > a));
    assert_eq!(
        whole.matching_offsets(|name| name == "first"),
        Ok(vec![first])
    );
}
