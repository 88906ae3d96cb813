//! Objects built by hand whose tables overlap, so that they ask for far more than they hold.

use super::*;

/// A section: name, type, flags, where its contents are, link.
struct Raw {
    name: u32,
    ty: u32,
    flags: u64,
    offset: usize,
    size: usize,
    link: u32,
}

/// An object with this content behind the header, and sections that are parts of it. The first
/// holds the names.
fn file(content: &[u8], sections: &[Raw]) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    bytes.resize(16, 0);
    bytes.extend([1, 0, 247, 0, 1, 0, 0, 0]);
    let table = (64 + content.len()) as u64;
    bytes.extend([0, 0, table].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend([0; 4]);
    let count = sections.len() as u16 + 1;
    bytes.extend(
        [64, 0, 0, 64, count, 1]
            .iter()
            .flat_map(|half: &u16| half.to_le_bytes()),
    );
    bytes.extend(content);
    bytes.extend([0; 64]);
    for raw in sections {
        bytes.extend(
            [raw.name, raw.ty]
                .iter()
                .flat_map(|word| word.to_le_bytes()),
        );
        let at = (64 + raw.offset) as u64;
        bytes.extend(
            [raw.flags, 0, at, raw.size as u64]
                .iter()
                .flat_map(|w| w.to_le_bytes()),
        );
        bytes.extend([raw.link, 0].iter().flat_map(|word| word.to_le_bytes()));
        let entry = if raw.ty == SHT_SYMTAB { 24_u64 } else { 0 };
        bytes.extend([1, entry].iter().flat_map(|word| word.to_le_bytes()));
    }
    bytes
}

/// A symbol of a section, without a name.
fn symbol(name: u32, info: u8, section: u16, size: usize) -> Vec<u8> {
    let mut bytes = name.to_le_bytes().to_vec();
    bytes.extend([info, 0]);
    bytes.extend(section.to_le_bytes());
    bytes.extend([0, size as u64].iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

const FUNCTION: u8 = 1 << 4 | 2;
/// Of code: allocated and executable.
const CODE: u64 = 6;
/// Names of sections: "tc" and then one that is as long as the rest.
const LONG: usize = 20_000;

fn names() -> Vec<u8> {
    let mut names = b"\0tc\0".to_vec();
    names.resize(LONG, b'x');
    names.push(0);
    names
}

fn strings(names: &[u8]) -> Raw {
    Raw {
        name: 0,
        ty: 3,
        flags: 0,
        offset: 0,
        size: names.len(),
        link: 0,
    }
}

fn what(file: Vec<u8>) -> &'static str {
    match Object::parse(file) {
        Ok(object) => panic!(
            "{} symbols, {} sections",
            object.symbols.len(),
            object.sections.len()
        ),
        Err(Error::Section { what, .. } | Error::Function { what, .. }) => what,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn symbols_that_share_a_long_name_are_an_error() {
    let mut content = names();
    let start = content.len();
    (0..500).for_each(|skip| content.extend(symbol(4 + skip, 0, 0, 0)));
    let size = content.len() - start;
    let sections = [
        strings(&names()),
        Raw {
            name: 0,
            ty: SHT_SYMTAB,
            flags: 0,
            offset: start,
            size,
            link: 1,
        },
    ];
    assert_eq!(
        what(file(&content, &sections)),
        "the names of its symbols overlap too much"
    );
    // One by itself may be as long as it likes.
    let sections = [Raw {
        size: 24,
        ..sections[1]
    }];
    let sections = [strings(&names()), Raw { ..sections[0] }];
    assert!(Object::parse(file(&content, &sections)).is_ok());
}

#[test]
fn sections_that_share_their_bytes_are_an_error() {
    let content = names();
    let many = |name| {
        let size = content.len();
        let mut sections = vec![strings(&content)];
        let part = || Raw {
            name,
            ty: 1,
            flags: CODE,
            offset: 0,
            size,
            link: 0,
        };
        sections.extend(std::iter::repeat_with(part).take(100));
        sections
    };
    assert_eq!(
        what(file(&content, &many(1))),
        "it overlaps too many others"
    );
    let mut empty = many(4);
    empty
        .iter_mut()
        .skip(1)
        .for_each(|section| section.size = 0);
    assert_eq!(what(file(&content, &empty)), "it overlaps too many others");
}

#[test]
fn functions_that_share_their_instructions_are_an_error() {
    let mut content = names();
    content.resize(LONG.next_multiple_of(8) + 8, 0);
    let code = content.len();
    content.resize(code + 8000, 0);
    let start = content.len();
    (0..100).for_each(|_| content.extend(symbol(0, FUNCTION, 3, 8000)));
    let size = content.len() - start;
    let sections = [
        strings(&names()),
        Raw {
            name: 0,
            ty: SHT_SYMTAB,
            flags: 0,
            offset: start,
            size,
            link: 1,
        },
        Raw {
            name: 1,
            ty: 1,
            flags: CODE,
            offset: code,
            size: 8000,
            link: 0,
        },
    ];
    let object = file(&content, &sections);
    assert_eq!(
        what(object),
        "too many functions share the same instructions"
    );
}

#[test]
fn a_section_with_nothing_in_it_may_be_outside_the_file() {
    let names = names();
    let object = |size| {
        let symbols = Raw {
            name: 0,
            ty: SHT_SYMTAB,
            flags: 0,
            offset: 0,
            size: 0,
            link: 1,
        };
        let code = Raw {
            name: 1,
            ty: SHT_PROGBITS,
            flags: CODE,
            offset: 1 << 20,
            size,
            link: 0,
        };
        let file = file(&names, &[strings(&names), symbols, code]);
        Object::parse(file)
    };
    let empty = object(0).unwrap();
    assert!(empty.sections[3].data.is_empty());
    let error = object(8).unwrap_err().to_string();
    assert!(error.contains("outside the file"), "{error}");
}
