//! An ELF file taken apart into its sections, and put together again.

use fastrand::Rng;

use super::{any, blind, btf, contents, number};

const HEADER: usize = 64;
/// Where the file's header has the table of sections, and in the end their size, number, names.
const TABLE: usize = 40;
const PROGRAM_HEADERS: usize = 56;
const COUNTS: usize = 58;
/// Bytes of each field of a section's header.
const WIDTHS: [usize; 10] = [4, 4, 8, 8, 8, 8, 4, 4, 8, 8];
const NAME: usize = 0;
const TYPE: usize = 1;
const FLAGS: usize = 2;
const OFFSET: usize = 4;
const SIZE: usize = 5;

const SYMTAB: u64 = 2;
const NOBITS: u64 = 8;
const REL: u64 = 9;
const EXECUTABLE: u64 = 4;

struct Section {
    fields: [u64; 10],
    content: Vec<u8>,
}

struct Parts {
    header: Vec<u8>,
    /// A file that is mapped as it lies: nothing in it can move.
    whole: Option<Vec<u8>>,
    sections: Vec<Section>,
}

/// Changes one thing of a file of 64 bits in little-endian order.
pub fn change(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let mut parts = take_apart(bytes)?;
    rng.choice(&CHANGES)?(&mut parts, rng)?;
    *bytes = put_together(&parts)?;
    Some(())
}

const CHANGES: [fn(&mut Parts, &mut Rng) -> Option<()>; 8] =
    [inside, inside, inside, inside, field, copy, empty, swap];

fn take_apart(bytes: &[u8]) -> Option<Parts> {
    let header = bytes.get(..HEADER)?.to_vec();
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let half = |at: usize| Some(u16::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let table = u64::from_le_bytes(*header.get(TABLE..)?.first_chunk()?);
    let headers = bytes
        .get(usize::try_from(table).ok()?..)?
        .as_chunks::<64>()
        .0;
    let headers = headers.get(..usize::from(half(COUNTS + 2)?))?;
    let sections = headers.iter().map(|header| {
        let mut rest = &header[..];
        let fields = WIDTHS.map(|width| {
            let (field, after) = rest.split_at(width);
            rest = after;
            field
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        });
        let start = usize::try_from(fields[OFFSET]).ok()?;
        let len = usize::try_from(fields[SIZE]).ok()?;
        let content = match fields[TYPE] {
            0 | NOBITS => &[],
            _ => bytes.get(start..start.checked_add(len)?)?,
        };
        Some(Section {
            fields,
            content: content.to_vec(),
        })
    });
    Some(Parts {
        whole: (half(PROGRAM_HEADERS)? != 0).then(|| bytes.to_vec()),
        sections: sections.collect::<Option<_>>()?,
        header,
    })
}

fn put_together(parts: &Parts) -> Option<Vec<u8>> {
    let mut bytes = parts.whole.clone().unwrap_or_else(|| vec![0; HEADER]);
    let mut headers = Vec::new();
    for section in &parts.sections {
        let mut fields = section.fields;
        let len = section.content.len();
        if parts.whole.is_none() && len != 0 {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            fields[OFFSET] = bytes.len() as u64;
            bytes.extend(&section.content);
        } else if len != 0 {
            let start = usize::try_from(fields[OFFSET]).ok()?;
            let place = bytes.get_mut(start..start.checked_add(len)?)?;
            place.copy_from_slice(&section.content);
        }
        for (field, width) in fields.iter().zip(WIDTHS) {
            headers.extend(&field.to_le_bytes()[..width]);
        }
    }
    let table = match parts.whole {
        None => bytes.len().next_multiple_of(8),
        Some(_) => u64::from_le_bytes(*parts.header.get(TABLE..)?.first_chunk()?) as usize,
    };
    bytes.resize(bytes.len().max(table + headers.len()), 0);
    bytes
        .get_mut(table..)?
        .get_mut(..headers.len())?
        .copy_from_slice(&headers);
    let place = bytes.get_mut(..HEADER)?;
    place.copy_from_slice(&parts.header);
    place[TABLE..TABLE + 8].copy_from_slice(&(table as u64).to_le_bytes());
    let count = u16::try_from(parts.sections.len()).ok()?;
    place[COUNTS + 2..COUNTS + 4].copy_from_slice(&count.to_le_bytes());
    Some(bytes)
}

/// What is in a section, as its type or its name says.
fn inside(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let count = parts.sections.len();
    let at = any(&parts.sections, rng)?;
    let name = name(parts, at)?;
    let section = &mut parts.sections[at];
    let content = &mut section.content;
    let [ty, flags] = [TYPE, FLAGS].map(|field| section.fields[field]);
    let old = content.clone();
    match (ty, &*name) {
        (SYMTAB, _) => contents::symbols(content, count, rng)?,
        (REL, _) => contents::relocations(content, rng)?,
        (_, b".BTF") => btf::change(content, rng)?,
        (_, b".BTF.ext") => contents::words(content, rng)?,
        (NOBITS, _) | (0, _) => {
            section.fields[SIZE] = number(section.fields[SIZE] as u32, rng).into()
        }
        _ if flags & EXECUTABLE != 0 => contents::instructions(content, rng)?,
        _ => blind(content, rng)?,
    }
    if content.len() != old.len() {
        // There is no room for more.
        if parts.whole.is_some() {
            *content = old;
            return None;
        }
        section.fields[SIZE] = content.len() as u64;
    }
    Some(())
}

fn name(parts: &Parts, section: usize) -> Option<Vec<u8>> {
    let names = u16::from_le_bytes(*parts.header.get(COUNTS + 4..)?.first_chunk()?);
    let names = &parts.sections.get(usize::from(names))?.content;
    let start = usize::try_from(parts.sections[section].fields[NAME]).ok()?;
    let name = names.get(start..)?.split(|byte| *byte == 0).next();
    name.map(<[u8]>::to_vec)
}

/// A field of a section's header: that of another section, or another number.
fn field(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let (at, other) = (any(&parts.sections, rng)?, any(&parts.sections, rng)?);
    let field = rng.usize(..WIDTHS.len());
    let other = parts.sections[other].fields[field];
    let place = &mut parts.sections[at].fields[field];
    *place = match rng.bool() {
        true => other,
        false => number(*place as u32, rng).into(),
    };
    Some(())
}

/// A section is there twice.
fn copy(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    if parts.whole.is_some() {
        return None;
    }
    let at = any(&parts.sections, rng)?;
    let Section { fields, content } = &parts.sections[at];
    let (fields, content) = (*fields, content.clone());
    parts.sections.push(Section { fields, content });
    Some(())
}

/// A section has nothing in it.
fn empty(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let at = any(&parts.sections, rng)?;
    let section = &mut parts.sections[at];
    section.fields[SIZE] = 0;
    section.content.clear();
    Some(())
}

/// Two sections have each other's contents, or each other's place in the table.
fn swap(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let (a, b) = (any(&parts.sections, rng)?, any(&parts.sections, rng)?);
    parts.sections.swap(a, b);
    if rng.bool() {
        let [first, second] = [a, b].map(|at| parts.sections[at].fields);
        for field in [NAME, TYPE, FLAGS] {
            parts.sections[a].fields[field] = second[field];
            parts.sections[b].fields[field] = first[field];
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use purebpf_elf::Object;

    use super::*;

    const FILE: &[u8] = include_bytes!("../../../tests/bpf/core.bpf.o");

    #[test]
    fn what_is_put_together_is_the_same_object() {
        let bytes = put_together(&take_apart(FILE).unwrap()).unwrap();
        let [before, after] = [FILE, &bytes].map(|file| Object::parse(file.to_vec()).unwrap());
        let seen = |object: &Object| {
            let Object {
                symbols,
                functions,
                relocations,
                ..
            } = object;
            format!("{symbols:?} {functions:?} {relocations:?}")
        };
        assert_eq!(seen(&before), seen(&after));
    }

    #[test]
    fn many_changes_leave_an_object() {
        let mut rng = Rng::with_seed(1);
        let mut counts = [0; 2];
        for _ in 0..2000 {
            let mut parts = take_apart(FILE).unwrap();
            // Others need the fuzzer itself.
            let (at, field) = (rng.usize(..2), [field, swap][rng.usize(..2)]);
            if [empty, field][at](&mut parts, &mut rng).is_some() {
                let bytes = put_together(&parts).unwrap();
                counts[usize::from(Object::parse(bytes).is_ok())] += 1;
            }
        }
        assert!(counts.iter().all(|count| *count > 200), "{counts:?}");
    }
}
