//! Any bytes as a BPF object, read by this library and by the crate `object` by itself: both find the
//! same, or this one has a reason to refuse.

#![no_main]

use libfuzzer_sys::fuzz_target;
use object::elf::{FileHeader64, SectionType};
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, Sym as _};
use object::{Endianness, elf};
use purebpf_elf::{Error, Object, SectionKind};
use purebpf_fuzz::{limits, mutate};

/// What only this library refuses, and why.
const REASONS: [(&str, &str); 14] = [
    ("its name is not UTF-8", "names are text here"),
    (
        "it overlaps too many others",
        "memory is bounded by the file's length",
    ),
    ("the names of its symbols overlap too much", "the same"),
    ("too many functions share the same instructions", "the same"),
    ("it is not made of whole records", "libbpf refuses it"),
    ("it is not of type PROGBITS", "libbpf refuses it"),
    ("it is a second symbol table", "libbpf refuses it"),
    ("it has no string table", "libbpf refuses it"),
    ("it reaches outside its section", "libbpf refuses it"),
    ("entry size is not 16", "libbpf refuses it"),
    ("its target section does not exist", "libbpf refuses it"),
    ("a program must not be static", "libbpf refuses it"),
    ("it is not made of whole instructions", "libbpf refuses it"),
    ("it is not 4 bytes", "libbpf refuses it"),
];

/// What the other one finds.
#[derive(Default)]
struct Seen {
    /// Type, size, name.
    sections: Vec<(SectionType, u64, Vec<u8>)>,
    contents: Vec<Vec<u8>>,
    /// Value, size, section, name.
    symbols: Vec<(u64, u64, u16, Vec<u8>)>,
    /// By section: offset and symbol of each.
    relocations: Vec<Vec<(u64, u32)>>,
}

fn see(data: &[u8]) -> object::read::Result<Seen> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let table = header.sections(endian, data)?;
    let mut seen = Seen::default();
    for (index, section) in table.enumerate() {
        let ty = section.sh_type(endian);
        let name = table.section_name(endian, section)?.to_vec();
        seen.sections.push((ty, section.sh_size(endian), name));
        // The first is none; names are looked at where they are used.
        let is_other = ty == elf::SHT_STRTAB || index.0 == 0;
        let content = match is_other {
            true => &[],
            false => section.data(endian, data)?,
        };
        seen.contents.push(content.to_vec());
        let entries = section.rel(endian, data)?;
        let entries = entries.iter().flat_map(|(entries, _)| entries.iter());
        let entries = entries.map(|entry| (entry.r_offset(endian), entry.r_sym(endian)));
        seen.relocations.push(entries.collect());
    }
    let symbols = table.symbols(endian, data, elf::SHT_SYMTAB)?;
    for symbol in symbols.iter() {
        seen.symbols.push((
            symbol.st_value(endian),
            symbol.st_size(endian),
            symbol.st_shndx(endian).0,
            symbols.symbol_name(endian, symbol)?.to_vec(),
        ));
    }
    Ok(seen)
}

fuzz_target!(|data: &[u8]| {
    // The other one has no limits.
    let theirs = see(data);
    let _limits = limits::arm(data, 1 << 20, 32);
    let ours = match (Object::parse(data), &theirs) {
        (Ok(ours), _) => ours,
        (Err(_), Err(_)) | (Err(Error::NotBpf { .. } | Error::NoSymbols), _) => return,
        (Err(Error::Section { what, .. } | Error::Function { what, .. }), Ok(_)) => {
            let is_known = REASONS.iter().any(|(known, _)| *known == what);
            assert!(is_known, "only we refuse it: {what}");
            return;
        }
        (Err(error), Ok(_)) => panic!("only we refuse it: {error}"),
    };
    // What is passed over may be broken.
    let Ok(theirs) = theirs else { return };
    assert_eq!(ours.sections.len(), theirs.sections.len());
    for (index, section) in ours.sections.iter().enumerate() {
        let (ty, size, name) = &theirs.sections[index];
        assert_eq!(section.name.as_bytes(), name);
        assert_eq!(section.size, *size);
        if section.kind != SectionKind::Ignored && *ty != elf::SHT_STRTAB {
            assert_eq!(*section.data, theirs.contents[index]);
        }
    }
    assert_eq!(ours.symbols.len(), theirs.symbols.len());
    for (symbol, (value, size, section, name)) in ours.symbols.iter().zip(&theirs.symbols) {
        assert_eq!((symbol.value, symbol.size), (*value, *size));
        assert_eq!(symbol.name, String::from_utf8_lossy(name));
        let is_ordinary = (1..elf::SHN_LORESERVE).contains(section);
        assert_eq!(symbol.section(), is_ordinary.then_some((*section).into()));
    }
    let mut theirs = theirs.relocations.into_iter().filter(|all| !all.is_empty());
    for ours in ours
        .relocations
        .iter()
        .filter(|all| !all.entries.is_empty())
    {
        let ours = ours.entries.iter();
        let ours: Vec<_> = ours
            .map(|entry| (entry.offset, entry.symbol as u32))
            .collect();
        // Those of sections that nobody reads are left out.
        assert!(theirs.any(|theirs| theirs == ours));
    }
});

purebpf_fuzz::mutator!(mutate::elf::change);
