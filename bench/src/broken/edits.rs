//! Ways to break an object: each changes one thing, and knows what that is.

use super::image::{Image, Section, Type};
use super::random::Random;

/// Breaks an object; `false` if it has nothing of the kind.
type Edit = fn(&mut Image, &mut Random) -> bool;

/// Every edit with its name.
pub const EDITS: &[(&str, Edit)] = &[
    ("elf header", elf_header),
    ("file cut", cut),
    ("section header", section_header),
    ("section header of a table", table_header),
    ("section name", section_name),
    ("symbol", symbol),
    ("symbol of a map, variable or extern", symbol),
    ("relocation", relocation),
    ("relocation of a program", relocation),
    ("instruction", instruction),
    ("license and version", license),
    ("btf header", btf_header),
    ("btf type", btf_type),
    ("btf name", btf_name),
    ("btf string", btf_string),
    ("map definition", map_definition),
    ("map definition", map_definition),
    ("map value", map_value),
    ("variable", variable),
    ("data section", data_section),
    ("extern", extern_),
    ("btf.ext header", ext_header),
    ("btf.ext section", ext_section),
    ("core relocation", core_relocation),
    ("function and line information", info),
    ("map data", map_data),
];

fn some<'a>(
    image: &'a Image,
    random: &mut Random,
    wanted: impl Fn(&Section) -> bool,
) -> Option<&'a Section> {
    let sections: Vec<&Section> = image.sections.iter().filter(|s| wanted(s)).collect();
    random.pick(&sections).copied()
}

/// A field of `bytes` bytes gets another value.
fn field(image: &mut Image, random: &mut Random, at: usize, bytes: usize) -> bool {
    match bytes {
        1 => {
            let byte = random.next() as u8;
            image.set(at, &[byte])
        }
        2 => {
            let old = image.u16(at).unwrap_or(0);
            let word = random.word(old.into()) as u16;
            image.set(at, &word.to_le_bytes())
        }
        4 => {
            let old = image.u32(at).unwrap_or(0);
            let word = random.word(old);
            image.set(at, &word.to_le_bytes())
        }
        _ => {
            let old = image.u64(at).unwrap_or(0);
            let word = u64::from(random.word(old as u32));
            image.set(at, &word.to_le_bytes())
        }
    }
}

/// One of the fields, given by place and bytes.
fn one_of(image: &mut Image, random: &mut Random, at: usize, fields: &[(usize, usize)]) -> bool {
    let Some((offset, bytes)) = random.pick(fields).copied() else {
        return false;
    };
    field(image, random, at + offset, bytes)
}

fn elf_header(image: &mut Image, random: &mut Random) -> bool {
    const FIELDS: &[(usize, usize)] = &[
        (0, 1),
        (4, 1),
        (5, 1),
        (6, 1),
        (16, 2),
        (18, 2),
        (20, 4),
        (40, 8),
        (58, 2),
        (60, 2),
        (62, 2),
    ];
    one_of(image, random, 0, FIELDS)
}

fn cut(image: &mut Image, random: &mut Random) -> bool {
    let len = random.below(image.bytes.len());
    image.bytes.truncate(len);
    true
}

const HEADER: &[(usize, usize)] = &[
    (0, 4),
    (4, 4),
    (8, 8),
    (24, 8),
    (32, 8),
    (40, 4),
    (44, 4),
    (48, 8),
    (56, 8),
];

fn section_header(image: &mut Image, random: &mut Random) -> bool {
    let Some(at) = some(image, random, |s| s.ty != 0).map(|s| s.header) else {
        return false;
    };
    if random.below(3) == 0 {
        // One of the types that there are.
        let ty = random
            .pick(&[0u32, 1, 2, 3, 4, 8, 9, 11, 0x6fff_4c03])
            .copied();
        return image.set(at + 4, &ty.unwrap_or(0).to_le_bytes());
    }
    one_of(image, random, at, HEADER)
}

fn table_header(image: &mut Image, random: &mut Random) -> bool {
    let is_table = |s: &Section| {
        matches!(s.ty, 2 | 3 | 9) || s.name.starts_with('.') && !s.name.starts_with(".debug")
    };
    let at = some(image, random, is_table).map(|s| s.header);
    at.is_some_and(|at| one_of(image, random, at, HEADER))
}

/// Another letter, or the name of something else.
fn section_name(image: &mut Image, random: &mut Random) -> bool {
    let Some(section) = some(image, random, |s| s.ty == 1 || s.ty == 8) else {
        return false;
    };
    let Some(names) = image
        .u16(62)
        .and_then(|index| image.sections.get(usize::from(index)))
    else {
        return false;
    };
    let Some(name) = image.u32(section.header) else {
        return false;
    };
    match random.below(2) {
        0 => {
            let (at, len) = (names.offset + name as usize, section.name.len());
            let at = at + random.below(len);
            let letter = random.pick(b"ax/._?0").copied().unwrap_or(0);
            image.set(at, &[letter])
        }
        _ => {
            let header = section.header;
            let other = some(image, random, |s| s.ty == 1).and_then(|s| image.u32(s.header));
            other.is_some_and(|name| image.set(header, &name.to_le_bytes()))
        }
    }
}

fn symbols(image: &Image) -> Vec<usize> {
    let table = image.sections.iter().find(|section| section.ty == 2);
    table.map_or_else(Vec::new, |table| image.entries(table, 24))
}

fn symbol(image: &mut Image, random: &mut Random) -> bool {
    let symbols = symbols(image);
    // Those after the local ones are what other things refer to.
    let from = match random.below(4) {
        0 => 0,
        _ => symbols
            .iter()
            .position(|at| image.bytes.get(at + 4).is_some_and(|info| info >> 4 != 0))
            .unwrap_or(0),
    };
    let Some(at) = random.pick(&symbols[from..]).copied() else {
        return false;
    };
    match random.below(7) {
        0 => field(image, random, at, 4),
        1 => {
            let info = [0u8, 1, 2, 3, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x13, 0xa1];
            let info = random.pick(&info).copied().unwrap_or(0);
            image.set(at + 4, &[info])
        }
        2 => {
            let visibility = random.below(4) as u8;
            image.set(at + 5, &[visibility])
        }
        3 => {
            let section = random.below(image.sections.len()) as u16;
            let section = *random
                .pick(&[section, section, 0, 0xfff1, 0xfff2, 0xffff])
                .unwrap_or(&0);
            image.set(at + 6, &section.to_le_bytes())
        }
        4 | 5 => field(image, random, at + 8, 8),
        _ => field(image, random, at + 16, 8),
    }
}

fn relocation(image: &mut Image, random: &mut Random) -> bool {
    let is_of_program = |s: &Section| {
        s.ty == 9
            && !s.name.starts_with(".rel.debug")
            && !s.name.starts_with(".rel.BTF")
            && !s.name.starts_with(".rel.eh")
    };
    let Some(section) = some(image, random, is_of_program) else {
        return false;
    };
    let entries = image.entries(section, 16);
    let count = symbols(image).len();
    let Some(at) = random.pick(&entries).copied() else {
        return false;
    };
    match random.below(5) {
        0 | 1 => field(image, random, at, 8),
        2 => field(image, random, at + 8, 4),
        3 => field(image, random, at + 12, 4),
        _ => {
            let symbol = random.below(count) as u32;
            image.set(at + 12, &symbol.to_le_bytes())
        }
    }
}

/// An instruction that a relocation is for, or any.
fn instruction(image: &mut Image, random: &mut Random) -> bool {
    let Some(section) = some(image, random, |s| s.ty == 9 && !s.name.starts_with(".rel.")) else {
        return false;
    };
    let target = image.u32(section.header + 44).unwrap_or(0) as usize;
    let entries = image.entries(section, 16);
    let Some((entry, code)) = random.pick(&entries).zip(image.sections.get(target)) else {
        return false;
    };
    let offset = image.u64(*entry).unwrap_or(0) as usize;
    let at = code.offset + offset;
    one_of(
        image,
        random,
        at,
        &[(0, 1), (1, 1), (2, 2), (4, 4), (8, 1), (9, 1), (12, 4)],
    )
}

fn license(image: &mut Image, random: &mut Random) -> bool {
    let wanted = |s: &Section| s.name == "license" || s.name == "version";
    let Some((header, at, size)) =
        some(image, random, wanted).map(|s| (s.header, s.offset, s.size))
    else {
        return false;
    };
    match random.below(2) {
        0 => one_of(image, random, header, HEADER),
        _ => {
            let at = at + random.below(size);
            field(image, random, at, 1)
        }
    }
}

/// One of the first `count` fields of the header that `.BTF` and `.BTF.ext` have in common.
fn header_of(image: &mut Image, random: &mut Random, section: &str, count: usize) -> bool {
    #[rustfmt::skip]
    const FIELDS: [(usize, usize); 10] = [
        (0, 2), (2, 1), (3, 1), (4, 4), (8, 4), (12, 4), (16, 4), (20, 4), (24, 4), (28, 4),
    ];
    let at = image.section(section).map(|section| section.offset);
    at.is_some_and(|at| one_of(image, random, at, &FIELDS[..count]))
}

fn btf_header(image: &mut Image, random: &mut Random) -> bool {
    header_of(image, random, ".BTF", 8)
}

fn types(image: &Image, wanted: impl Fn(&Type) -> bool) -> Vec<Type> {
    image.types().into_iter().filter(|ty| wanted(ty)).collect()
}

fn ids(image: &Image) -> usize {
    image.types().len() + 2
}

/// The id of another type, once in a while of none.
fn other_type(image: &mut Image, random: &mut Random, at: usize) -> bool {
    let id = random.below(ids(image)) as u32;
    image.set(at, &id.to_le_bytes())
}

fn btf_type(image: &mut Image, random: &mut Random) -> bool {
    let types = types(image, |_| true);
    let Some(ty) = random.pick(&types) else {
        return false;
    };
    let words = 3 + if ty.vlen > 0 { ty.vlen.min(20) * 2 } else { 3 };
    match random.below(6) {
        0 => {
            let kind = random.below(24) as u8;
            image.set(ty.at + 7, &[kind])
        }
        1 => field(image, random, ty.at + 4, 2),
        2 => other_type(image, random, ty.at + 8),
        3 => field(image, random, ty.at + 8, 4),
        4 => {
            let bit = image.bytes[ty.at + 7] ^ 0x80;
            image.set(ty.at + 7, &[bit])
        }
        _ => {
            let at = ty.at + 4 * random.below(words);
            field(image, random, at, 4)
        }
    }
}

fn btf_name(image: &mut Image, random: &mut Random) -> bool {
    // Functions, data sections, variables, structs.
    let types = types(image, |ty| matches!(ty.kind, 4 | 12 | 14 | 15));
    let others = types
        .iter()
        .filter_map(|ty| image.u32(ty.at))
        .collect::<Vec<_>>();
    let Some(at) = random.pick(&types).map(|ty| ty.at) else {
        return false;
    };
    match random.below(3) {
        0 => field(image, random, at, 4),
        _ => {
            let name = random.pick(&others).copied().unwrap_or(0);
            image.set(at, &name.to_le_bytes())
        }
    }
}

fn btf_string(image: &mut Image, random: &mut Random) -> bool {
    let Some((start, len)) = image.strings() else {
        return false;
    };
    let at = start + random.below(len);
    let letter = random.pick(b"a_:0 \0.").copied().unwrap_or(0);
    image.set(at, &[letter])
}

/// The structs that define maps.
fn definitions(image: &Image) -> Vec<(usize, usize)> {
    let types = image.types();
    let find = |id: u32| types.get((id as usize).wrapping_sub(1));
    let strings = image.strings().map_or(0, |(start, _)| start);
    let mut found = Vec::new();
    for section in types.iter().filter(|ty| ty.kind == 15) {
        if image.text(strings + image.u32(section.at).unwrap_or(0) as usize) != ".maps" {
            continue;
        }
        for entry in 0..section.vlen {
            let variable = image.u32(section.at + 12 + 12 * entry).and_then(find);
            let definition = variable.and_then(|ty| image.u32(ty.at + 8)).and_then(find);
            found.extend(
                definition
                    .filter(|ty| ty.kind == 4)
                    .map(|ty| (ty.at, ty.vlen)),
            );
        }
    }
    found
}

fn map_definition(image: &mut Image, random: &mut Random) -> bool {
    let definitions = definitions(image);
    let Some((at, vlen)) = random.pick(&definitions).copied() else {
        return false;
    };
    let names: Vec<u32> = definitions
        .iter()
        .flat_map(|(at, vlen)| (0..*vlen).map(move |index| at + 12 + 12 * index))
        .filter_map(|at| image.u32(at))
        .collect();
    let member = at + 12 + 12 * random.below(vlen);
    let types = image.types();
    match random.below(8) {
        0 => field(image, random, at + 8, 4),
        1 => field(image, random, at + 4, 2),
        2 | 3 => {
            let name = random.pick(&names).copied().unwrap_or(0);
            image.set(member, &name.to_le_bytes())
        }
        4 => other_type(image, random, member + 4),
        5 => field(image, random, member + 8, 4),
        // What the member says: a pointer to an array of so many elements.
        _ => {
            let find = |id: u32| types.get((id as usize).wrapping_sub(1));
            let pointer = image.u32(member + 4).and_then(find);
            let array = pointer.and_then(|ty| image.u32(ty.at + 8)).and_then(find);
            match (pointer, array) {
                (_, Some(array)) if array.kind == 3 && random.below(3) > 0 => {
                    let at = array.at + 20;
                    field(image, random, at, 4)
                }
                (Some(pointer), _) => other_type(image, random, pointer.at + 8),
                _ => false,
            }
        }
    }
}

/// The kind or size of what a definition points to.
fn map_value(image: &mut Image, random: &mut Random) -> bool {
    let definitions = definitions(image);
    let Some((at, vlen)) = random.pick(&definitions).copied() else {
        return false;
    };
    let types = image.types();
    let find = |id: u32| types.get((id as usize).wrapping_sub(1));
    let member = at + 12 + 12 * random.below(vlen);
    let pointer = image.u32(member + 4).and_then(find);
    let Some(target) = pointer.and_then(|ty| image.u32(ty.at + 8)).and_then(find) else {
        return false;
    };
    match random.below(3) {
        0 => {
            let kind = random.below(20) as u8;
            image.set(target.at + 7, &[kind])
        }
        1 => field(image, random, target.at + 8, 4),
        _ => other_type(image, random, target.at + 8),
    }
}

fn variable(image: &mut Image, random: &mut Random) -> bool {
    let types = types(image, |ty| ty.kind == 14 || ty.kind == 12);
    let Some(ty) = random.pick(&types) else {
        return false;
    };
    match (random.below(3), ty.kind) {
        (0, _) => other_type(image, random, ty.at + 8),
        (_, 14) => {
            let linkage = random.below(4) as u32;
            image.set(ty.at + 12, &linkage.to_le_bytes())
        }
        _ => {
            let linkage = random.below(4) as u8;
            image.set(ty.at + 4, &[linkage])
        }
    }
}

fn data_section(image: &mut Image, random: &mut Random) -> bool {
    let sections = types(image, |ty| ty.kind == 15);
    let Some((at, vlen)) = random.pick(&sections).map(|ty| (ty.at, ty.vlen)) else {
        return false;
    };
    let entry = at + 12 + 12 * random.below(vlen);
    match random.below(5) {
        0 => field(image, random, at + 8, 4),
        1 => field(image, random, at + 4, 2),
        2 => other_type(image, random, entry),
        3 => field(image, random, entry + 4, 4),
        _ => field(image, random, entry + 8, 4),
    }
}

/// Variables and functions of `.kconfig` and `.ksyms`, and what they are.
fn extern_(image: &mut Image, random: &mut Random) -> bool {
    let strings = image.strings().map_or(0, |(start, _)| start);
    let name = |ty: &Type| image.text(strings + image.u32(ty.at).unwrap_or(0) as usize);
    let sections = types(image, |ty| {
        ty.kind == 15 && matches!(name(ty).as_str(), ".kconfig" | ".ksyms")
    });
    let Some((at, vlen)) = random.pick(&sections).map(|ty| (ty.at, ty.vlen)) else {
        return false;
    };
    let entry = at + 12 + 12 * random.below(vlen);
    let types = image.types();
    let find = |id: u32| types.get((id as usize).wrapping_sub(1));
    let Some(variable) = image.u32(entry).and_then(find) else {
        return false;
    };
    let target = image.u32(variable.at + 8).and_then(find);
    match random.below(7) {
        0 => {
            let linkage = random.below(4) as u8;
            let at = variable.at + if variable.kind == 14 { 12 } else { 4 };
            image.set(at, &[linkage])
        }
        1 => other_type(image, random, variable.at + 8),
        2 => other_type(image, random, entry),
        3 => field(image, random, entry + 4, 4),
        4 => field(image, random, entry + 8, 4),
        5 => field(image, random, variable.at, 4),
        _ => target.is_some_and(|target| {
            one_of(
                image,
                random,
                target.at,
                &[(4, 2), (7, 1), (8, 4), (12, 4), (20, 4)],
            )
        }),
    }
}

fn ext_header(image: &mut Image, random: &mut Random) -> bool {
    header_of(image, random, ".BTF.ext", 10)
}

/// Where the list of a kind is: 0 functions, 1 lines, 2 CO-RE relocations.
fn list(image: &Image, kind: usize) -> Option<usize> {
    let start = image.section(".BTF.ext")?.offset;
    let header = image.u32(start + 4)? as usize;
    // Old headers have no CO-RE relocations.
    let is_there = header >= 8 + 8 * (kind + 1);
    is_there.then_some(start + header + image.u32(start + 8 + 8 * kind)? as usize)
}

/// Record size, name of the first section, number of its records.
fn ext_section(image: &mut Image, random: &mut Random) -> bool {
    let kind = random.below(3);
    let at = list(image, kind);
    at.is_some_and(|at| one_of(image, random, at, &[(0, 4), (4, 4), (8, 4)]))
}

fn core_relocation(image: &mut Image, random: &mut Random) -> bool {
    let Some(at) = list(image, 2) else {
        return false;
    };
    let (size, count) = (image.u32(at).unwrap_or(16), image.u32(at + 8).unwrap_or(0));
    let record = at + 12 + size as usize * random.below(count as usize);
    match random.below(6) {
        0 => field(image, random, record, 4),
        1 => other_type(image, random, record + 4),
        2 => field(image, random, record + 8, 4),
        3 => {
            let kind = random.below(14) as u32;
            image.set(record + 12, &kind.to_le_bytes())
        }
        // The access string itself.
        _ => {
            let strings = image.strings().map_or(0, |(start, _)| start);
            let at = strings + image.u32(record + 8).unwrap_or(0) as usize;
            let at = at + random.below(image.text(at).len());
            let letter = random.pick(b"0193:a ").copied().unwrap_or(0);
            image.set(at, &[letter])
        }
    }
}

fn info(image: &mut Image, random: &mut Random) -> bool {
    let kind = random.below(2);
    let Some(at) = list(image, kind) else {
        return false;
    };
    let (size, count) = (image.u32(at).unwrap_or(8), image.u32(at + 8).unwrap_or(0));
    let record = at + 12 + size as usize * random.below(count as usize);
    one_of(image, random, record, &[(0, 4), (4, 4)])
}

/// The bytes of `.maps`, `.struct_ops` and data sections.
fn map_data(image: &mut Image, random: &mut Random) -> bool {
    let wanted = |s: &Section| {
        s.name == ".maps"
            || s.name.starts_with(".struct_ops")
            || s.name.starts_with(".data")
            || s.name.starts_with(".rodata")
    };
    let Some((header, at, size)) =
        some(image, random, wanted).map(|s| (s.header, s.offset, s.size))
    else {
        return false;
    };
    match random.below(2) {
        0 => one_of(image, random, header, HEADER),
        _ => {
            let at = at + random.below(size);
            field(image, random, at, 1)
        }
    }
}
