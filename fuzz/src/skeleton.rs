//! An object put together from the contents of its sections, so that a fuzzer can make one longer
//! without moving the others away from where the headers say they are.

use purebpf_elf::Object;

/// Name, type, flags, link, info. The name of the program's section is a part of the input.
type Row = (&'static str, u32, u64, u32, u32);

/// Stands for the name of the program's section.
pub const PROGRAM: &str = "PROGRAM";
const SYMTAB: usize = 2;
const NOBITS: u32 = 8;
/// From here on a symbol's section is none of the file.
const RESERVED: usize = 0xff00;
const CODE: u64 = 6;
const DATA: u64 = 3;

/// The sections from index 1 on.
const SECTIONS: [Row; 14] = [
    (".strtab", 3, 0, 0, 0),
    (".symtab", 2, 0, 1, 1),
    (".text", 1, CODE, 0, 0),
    (PROGRAM, 1, CODE, 0, 0),
    (".rel.text", 9, 0, 2, 3),
    (".rel.program", 9, 0, 2, 4),
    (".maps", 1, DATA, 0, 0),
    (".rel.maps", 9, 0, 2, 7),
    (".data", 1, DATA, 0, 0),
    (".rodata", 1, 2, 0, 0),
    (".bss", NOBITS, DATA, 0, 0),
    (".BTF", 1, 0, 0, 0),
    (".BTF.ext", 1, 0, 0, 0),
    ("license", 1, DATA, 0, 0),
];

const NAMES: Row = (".shstrtab", 3, 0, 0, 0);

/// The parts of an input, each behind two bytes with its length; those that are missing are empty.
pub fn parts(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let part = move |_| {
        let (part, rest) = crate::halves(data);
        data = rest;
        part
    };
    (0..=SECTIONS.len()).map(part)
}

/// What [`parts`] takes apart, unless one of them is longer than 65535 bytes.
#[must_use]
pub fn joined(parts: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut input = Vec::new();
    for part in parts {
        input.extend(u16::try_from(part.len()).ok()?.to_le_bytes());
        input.extend(part);
    }
    Some(input)
}

/// Which section a part is; the first is the name of the program's.
#[must_use]
pub fn name(part: usize) -> &'static str {
    part.checked_sub(1)
        .map_or("", |section| SECTIONS[section].0)
}

/// An object with these parts: the name of the program's section, then what is in each section.
#[must_use]
pub fn object(data: &[u8]) -> Vec<u8> {
    let mut names = vec![0];
    let mut parts = parts(data);
    let program = parts.next().unwrap_or_default();
    let mut begins = Vec::new();
    for (name, ..) in SECTIONS.into_iter().chain([NAMES]) {
        begins.push(names.len() as u32);
        names.extend(if name == PROGRAM {
            program
        } else {
            name.as_bytes()
        });
        names.push(0);
    }
    let sections = SECTIONS.into_iter().zip(parts).chain([(NAMES, &names[..])]);
    let (mut content, mut headers) = (Vec::new(), vec![0; 64]);
    for (begin, ((_, ty, flags, link, info), part)) in begins.into_iter().zip(sections) {
        // What is empty is not there, but keeps its place in the table.
        let (begin, ty) = if part.is_empty() { (0, 0) } else { (begin, ty) };
        let entry = match ty {
            2 => 24_u64,
            9 => 16,
            _ => 0,
        };
        let place = [flags, 0, 64 + content.len() as u64, part.len() as u64];
        headers.extend([begin, ty].iter().flat_map(|word| word.to_le_bytes()));
        headers.extend(place.iter().flat_map(|long| long.to_le_bytes()));
        headers.extend([link, info].iter().flat_map(|word| word.to_le_bytes()));
        headers.extend([8, entry].iter().flat_map(|long| long.to_le_bytes()));
        if ty != NOBITS {
            content.extend(part);
            content.resize(content.len().next_multiple_of(8), 0);
        }
    }
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([1, 0, 247, 0, 1, 0, 0, 0]);
    let table = 64 + content.len() as u64;
    file.extend([0, 0, table].iter().flat_map(|long| long.to_le_bytes()));
    file.extend([0; 4]);
    let count = (headers.len() / 64) as u16;
    let halves = [64, 0, 0, 64, count, count - 1];
    file.extend(halves.iter().flat_map(|half: &u16| half.to_le_bytes()));
    [file, content, headers].concat()
}

/// The input of which [`object`] makes an object like this one, with its first program section.
///
/// `None` if it has no program, or a section of more than 65535 bytes.
#[must_use]
pub fn input(file: &[u8], object: &Object) -> Option<Vec<u8>> {
    let text = object.text().map(|text| text.index);
    let function = object
        .functions
        .iter()
        .find(|function| Some(function.section) != text)?;
    let program = object.section_name(function.section).to_owned();
    let relocations = format!(".rel{program}");
    let names = SECTIONS.map(|(name, ..)| match name {
        PROGRAM => program.as_str(),
        ".rel.program" => relocations.as_str(),
        name => name,
    });
    let mut parts = vec![program.clone().into_bytes()];
    for (index, name) in (1..).zip(names) {
        let found = purebpf_elf::find_section(file, name).ok().flatten();
        let mut part = found.unwrap_or_default().to_vec();
        if name == ".bss" {
            let bss = object.sections.iter().find(|section| section.name == name);
            part.resize(bss.map_or(0, |bss| bss.size as usize), 0);
        }
        if index == SYMTAB {
            for symbol in part.as_chunks_mut::<24>().0 {
                let old = usize::from(u16::from_le_bytes([symbol[6], symbol[7]]));
                if old >= RESERVED {
                    continue;
                }
                let name = object.section_name(old);
                let new = names
                    .iter()
                    .position(|known| *known == name)
                    .map_or(0, |at| at + 1);
                symbol[6..8].copy_from_slice(&(new as u16).to_le_bytes());
            }
        }
        parts.push(part);
    }
    joined(&parts)
}
