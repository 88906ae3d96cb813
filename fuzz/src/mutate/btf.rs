//! BTF taken apart into the words of its types, and put together again.

use fastrand::Rng;

use super::{any, number};

const HEADER: usize = 24;
const MAGIC: u16 = 0xeb9f;
const KIND_FLAG: u32 = 1 << 31;

/// What the words of a type mean after its name and info: the third, those behind it, and those of
/// each entry. `t` is a type, `n` a name, `.` a number. By kind, from void on.
const KINDS: [[&str; 3]; 20] = [
    [".", "", ""],
    [".", ".", ""],
    ["t", "", ""],
    [".", "tt.", ""],
    [".", "", "nt."],
    [".", "", "nt."],
    [".", "", "n."],
    [".", "", ""],
    ["t", "", ""],
    ["t", "", ""],
    ["t", "", ""],
    ["t", "", ""],
    ["t", "", ""],
    ["t", "", "nt"],
    ["t", ".", ""],
    [".", "", "t.."],
    [".", "", ""],
    ["t", ".", ""],
    ["t", "", ""],
    [".", "", "n.."],
];

/// The words of a type.
type Record = Vec<u32>;

struct Parts {
    is_big: bool,
    types: Vec<Record>,
    strings: Vec<u8>,
}

/// Changes one thing of a BTF.
pub fn change(bytes: &mut Vec<u8>, rng: &mut Rng) -> Option<()> {
    let mut parts = take_apart(bytes)?;
    rng.choice(&CHANGES)?(&mut parts, rng)?;
    *bytes = put_together(&parts);
    Some(())
}

const CHANGES: [fn(&mut Parts, &mut Rng) -> Option<()>; 12] = [
    retarget, retarget, rename, renumber, renumber, new_name, new_kind, entries, flag, copy,
    remove, swap,
];

fn kind(info: u32) -> Option<&'static [&'static str; 3]> {
    KINDS.get((info >> 24 & 0x1f) as usize)
}

/// What each word of a type with this info means.
fn meaning(info: u32) -> Option<String> {
    let [third, rest, entry] = kind(info)?;
    Some(["ni", third, rest, &entry.repeat((info & 0xffff) as usize)].concat())
}

fn take_apart(bytes: &[u8]) -> Option<Parts> {
    let is_big = u16::from_be_bytes(*bytes.first_chunk()?) == MAGIC;
    let word = |at: usize| {
        let word = *bytes.get(at..)?.first_chunk()?;
        Some(match is_big {
            true => u32::from_be_bytes(word),
            false => u32::from_le_bytes(word),
        })
    };
    let [begin, type_off, type_len, str_off, str_len] = [4, 8, 12, 16, 20].map(word);
    let begin = begin? as usize;
    let section = |off: Option<u32>, len: Option<u32>| {
        let start = begin.checked_add(off? as usize)?;
        bytes.get(start..start.checked_add(len? as usize)?)
    };
    let mut words = section(type_off, type_len)?
        .as_chunks()
        .0
        .iter()
        .map(|word| match is_big {
            true => u32::from_be_bytes(*word),
            false => u32::from_le_bytes(*word),
        });
    let mut types = Vec::new();
    while let (Some(name), Some(info)) = (words.next(), words.next()) {
        let len = meaning(info)?.len();
        let record: Record = [name, info]
            .into_iter()
            .chain(words.by_ref().take(len - 2))
            .collect();
        types.push(record);
    }
    Some(Parts {
        is_big,
        types,
        strings: section(str_off, str_len)?.to_vec(),
    })
}

fn put_together(parts: &Parts) -> Vec<u8> {
    let type_len = 4 * parts.types.iter().map(Vec::len).sum::<usize>() as u32;
    let str_len = parts.strings.len() as u32;
    let first = u32::from(MAGIC) | 1 << 16;
    let header = [first, HEADER as u32, 0, type_len, type_len, str_len];
    let mut bytes: Vec<u8> = header
        .iter()
        .chain(parts.types.iter().flatten())
        .flat_map(|word| match parts.is_big {
            true => word.to_be_bytes(),
            false => word.to_le_bytes(),
        })
        .collect();
    if parts.is_big {
        bytes[..4].copy_from_slice(&[MAGIC.to_be_bytes(), [1, 0]].concat());
    }
    bytes.extend(&parts.strings);
    bytes
}

/// A word of a type that means this.
fn place(parts: &Parts, wanted: u8, rng: &mut Rng) -> Option<(usize, usize)> {
    // Some types have none; a few attempts find one that has.
    (0..8).find_map(|_| {
        let record = any(&parts.types, rng)?;
        let words = parts.types[record].len();
        let meaning = meaning(parts.types[record][1])?;
        let fits = |at: &usize| meaning.as_bytes().get(*at) == Some(&wanted);
        let found: Vec<usize> = (0..words).filter(fits).collect();
        Some((record, found[any(&found, rng)?]))
    })
}

/// Another type is referred to: one that is referred to elsewhere, or any.
fn retarget(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let (record, at) = place(parts, b't', rng)?;
    let (other, other_at) = place(parts, b't', rng)?;
    let any = rng.u32(..=parts.types.len() as u32);
    parts.types[record][at] = match rng.bool() {
        true => parts.types[other][other_at],
        false => any,
    };
    Some(())
}

/// A name becomes that of another thing.
fn rename(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let (record, at) = place(parts, b'n', rng)?;
    let (other, other_at) = place(parts, b'n', rng)?;
    parts.types[record][at] = parts.types[other][other_at];
    Some(())
}

fn renumber(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let (record, at) = place(parts, b'.', rng)?;
    let word = &mut parts.types[record][at];
    *word = number(*word, rng);
    Some(())
}

/// A name is given another ending, which may make it a flavour of a type.
fn new_name(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let (record, at) = place(parts, b'n', rng)?;
    let old = parts.types[record][at] as usize;
    let name = parts.strings.get(old..)?.split(|byte| *byte == 0).next()?;
    let ending = *rng.choice(&["___flavour", "___", "x", "", "\u{e9}", "[]", ":0:1"])?;
    let name = [name, ending.as_bytes(), b"\0"].concat();
    parts.types[record][at] = parts.strings.len() as u32;
    parts.strings.extend(name);
    Some(())
}

/// A type becomes one of another kind, and as long as such a type is.
fn new_kind(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let at = any(&parts.types, rng)?;
    let record = &mut parts.types[at];
    record[1] = record[1] & !(0x1f << 24) | rng.u32(1..KINDS.len() as u32) << 24;
    let last = record.last().copied()?;
    record.resize(meaning(record[1])?.len(), last);
    Some(())
}

/// A type has an entry more or less.
fn entries(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let at = any(&parts.types, rng)?;
    let record = &mut parts.types[at];
    let len = kind(record[1])?[2].len();
    // The last type may be cut off.
    let without_last = record.len().checked_sub(len).filter(|rest| *rest >= 3)?;
    let count = record[1] & 0xffff;
    match (rng.bool(), count) {
        (_, 0xffff) | (false, 0) => return None,
        (true, _) => {
            let copied = match count {
                0 => vec![0; len],
                _ => record[without_last..].to_vec(),
            };
            record.extend(copied);
            record[1] += 1;
        }
        (false, _) => {
            record.truncate(without_last);
            record[1] -= 1;
        }
    }
    Some(())
}

fn flag(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let at = any(&parts.types, rng)?;
    parts.types[at][1] ^= KIND_FLAG;
    Some(())
}

/// A type is there twice.
fn copy(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let at = any(&parts.types, rng)?;
    parts.types.push(parts.types[at].clone());
    Some(())
}

/// A type is gone, and the types after it have other ids.
fn remove(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let at = any(&parts.types, rng)?;
    parts.types.remove(at);
    Some(())
}

fn swap(parts: &mut Parts, rng: &mut Rng) -> Option<()> {
    let (a, b) = (any(&parts.types, rng)?, any(&parts.types, rng)?);
    parts.types.swap(a, b);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> Vec<u8> {
        let file: &[u8] = include_bytes!("../../../tests/bpf/core.bpf.o");
        let found = purebpf_elf::find_section(file, ".BTF").unwrap();
        found.unwrap().to_vec()
    }

    #[test]
    fn what_is_taken_apart_is_put_together_again() {
        let bytes = fixture();
        assert_eq!(put_together(&take_apart(&bytes).unwrap()), bytes);
        let btf = purebpf_btf::Btf::parse(bytes.clone()).unwrap();
        let big = btf.to_bytes(purebpf_btf::Endian::Big);
        assert_eq!(put_together(&take_apart(&big).unwrap()), big);
    }

    #[test]
    fn most_changes_leave_what_can_be_read() {
        let mut rng = Rng::with_seed(1);
        let mut counts = [0; 2];
        for _ in 0..2000 {
            let mut bytes = fixture();
            if change(&mut bytes, &mut rng).is_some() {
                assert!(take_apart(&bytes).is_some());
                counts[usize::from(purebpf_btf::Btf::parse(bytes).is_ok())] += 1;
            }
        }
        assert!(counts[1] > counts[0] && counts[0] > 50, "{counts:?}");
    }
}
