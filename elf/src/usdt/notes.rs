//! The notes of a binary: one for each place of a probe.

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, FileKind};

use super::Machine;
use crate::host::HostError;

const SECTION: &[u8] = b".note.stapsdt";
const BASE: &[u8] = b".stapsdt.base";
const OWNER: &[u8] = b"stapsdt\0";
/// The type of a note about a probe.
const PROBE: u32 = 3;
/// Bytes of a note's header: lengths of owner and description, and the type.
const HEADER: usize = 12;

/// One place of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The program or library that it belongs to, by a name of its own.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Where its arguments are, as [`arguments`](super::arguments) reads it.
    pub arguments: String,
    /// Where it is, as an offset in the file in bytes.
    pub offset: u64,
    /// Where it is in memory, before the binary is moved to where it is loaded.
    pub address: u64,
    /// Where the counter is of those who want the probe to be there, as an offset in the file in
    /// bytes; nothing if it has none.
    pub semaphore: Option<u64>,
}

/// The probes of a binary.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notes {
    /// The machine that its arguments are of; nothing if it is none that is known.
    pub machine: Option<Machine>,
    /// Whether it can be loaded at any address: a library, or a position-independent program.
    pub is_movable: bool,
    /// Every place of every probe, in the order of the file.
    pub notes: Vec<Note>,
}

/// A part of the file that is loaded.
struct Segment {
    address: u64,
    len: u64,
    offset: u64,
    is_code: bool,
}

impl Notes {
    /// Reads the notes of an executable or a library; none if it has no probes.
    ///
    /// # Errors
    /// [`HostError::NotElf`], [`HostError::Table`] for notes that are malformed or lead nowhere.
    ///
    /// # Source
    /// libbpf `collect_usdt_targets`.
    pub fn read(bytes: &[u8]) -> Result<Self, HostError> {
        match FileKind::parse(bytes) {
            Ok(FileKind::Elf64) => read::<FileHeader64<Endianness>>(bytes),
            Ok(FileKind::Elf32) => read::<FileHeader32<Endianness>>(bytes),
            _ => Err(HostError::NotElf),
        }
    }
}

fn broken(what: impl Into<String>) -> HostError {
    HostError::Table {
        table: "probe notes",
        what: what.into(),
    }
}

fn read<Elf: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Notes, HostError> {
    let fail = |error: object::read::Error| broken(error.to_string());
    let header = Elf::parse(bytes).map_err(fail)?;
    let endian = header.endian().map_err(fail)?;
    let kind = header.e_type(endian);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return Err(broken("the file is neither a program nor a library"));
    }
    let mut all = Notes {
        machine: Machine::of(header.e_machine(endian), header.is_type_64()),
        is_movable: kind == elf::ET_DYN,
        notes: Vec::new(),
    };
    let sections = header.sections(endian, bytes).map_err(fail)?;
    let named = |wanted: &[u8]| sections.section_by_name(endian, wanted).map(|(_, it)| it);
    let Some(section) = named(SECTION) else {
        return Ok(all);
    };
    if section.sh_type(endian) != elf::SHT_NOTE {
        return Err(broken("their section is of another type"));
    }
    let base = named(BASE).map(|section| section.sh_addr(endian).into());
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, bytes).map_err(fail)? {
        if segment.p_type(endian) == elf::PT_LOAD {
            segments.push(Segment {
                address: segment.p_vaddr(endian).into(),
                len: segment.p_memsz(endian).into(),
                offset: segment.p_offset(endian).into(),
                is_code: segment.p_flags(endian).0 & elf::PF_X.0 != 0,
            });
        }
    }
    segments.sort_by_key(|segment| segment.address);
    let data = section.data(endian, bytes).map_err(fail)?;
    let reader = Reader {
        is_big: endian == Endianness::Big,
        word: if header.is_type_64() { 8 } else { 4 },
    };
    let mut rest = data;
    while !rest.is_empty() {
        let (note, after) = reader.note(rest)?;
        all.notes.push(note.place(base, &segments)?);
        rest = after;
    }
    Ok(all)
}

/// What a note says, before it is known where that is in the file.
struct Raw<'a> {
    location: u64,
    base: u64,
    semaphore: u64,
    provider: &'a str,
    name: &'a str,
    arguments: &'a str,
}

#[derive(Clone, Copy)]
struct Reader {
    is_big: bool,
    /// Bytes of an address.
    word: usize,
}

impl Reader {
    fn number(self, bytes: &[u8]) -> u64 {
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        match self.is_big {
            true => bytes.iter().fold(0, fold),
            false => bytes.iter().rev().fold(0, fold),
        }
    }

    /// The first note, and what follows it.
    fn note(self, bytes: &[u8]) -> Result<(Raw<'_>, &[u8]), HostError> {
        let cut = || broken("a note is cut");
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or_else(cut)?;
        let [owner, description, kind] = [0, 4, 8].map(|at| {
            let word = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
            self.number(word.map_or(&[], |word| word))
        });
        let part = |bytes: &[u8], len: u64| -> Option<(usize, usize)> {
            let len = usize::try_from(len).ok()?;
            let whole = len.checked_next_multiple_of(4)?.min(bytes.len());
            (len <= bytes.len()).then_some((len, whole))
        };
        let (len, whole) = part(rest, owner).ok_or_else(cut)?;
        let is_probe = rest.get(..len) == Some(OWNER) && kind == u64::from(PROBE);
        if !is_probe {
            return Err(broken("a note is about something else"));
        }
        let rest = rest.get(whole..).unwrap_or_default();
        let (len, whole) = part(rest, description).ok_or_else(cut)?;
        let raw = self.description(rest.get(..len).unwrap_or_default());
        let raw = raw.ok_or_else(|| broken("a note is malformed"))?;
        Ok((raw, rest.get(whole..).unwrap_or_default()))
    }

    /// Three addresses, then three texts, each with a zero at its end.
    fn description(self, bytes: &[u8]) -> Option<Raw<'_>> {
        let mut rest = bytes;
        let mut address = || {
            let (word, after) = rest.split_at_checked(self.word)?;
            rest = after;
            Some(self.number(word))
        };
        let (location, base, semaphore) = (address()?, address()?, address()?);
        let mut text = || {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let text = std::str::from_utf8(rest.get(..end)?).ok()?;
            rest = rest.get(end.checked_add(1)?..)?;
            Some(text)
        };
        let (provider, name) = (text()?, text()?);
        // Without arguments there may be no third text, or only a colon.
        let arguments = text().filter(|text| !text.starts_with(':'));
        (!name.is_empty()).then_some(Raw {
            location,
            base,
            semaphore,
            provider,
            name,
            arguments: arguments.unwrap_or_default(),
        })
    }
}

impl Raw<'_> {
    fn place(self, base: Option<u64>, segments: &[Segment]) -> Result<Note, HostError> {
        // Tools that moved the code after it was linked left the notes as they were.
        let moved = base.filter(|_| self.base != 0);
        let moved = moved.map_or(0, |base| base.wrapping_sub(self.base));
        let address = self.location.wrapping_add(moved);
        let code = find(segments, address).filter(|segment| segment.is_code);
        let code = code.ok_or_else(|| self.lost("is in no code"))?;
        let semaphore = match self.semaphore {
            0 => None,
            at => {
                let data = find(segments, at).filter(|segment| !segment.is_code);
                let data = data.ok_or_else(|| self.lost("has its semaphore in no data"))?;
                Some(data.file_offset(at))
            }
        };
        Ok(Note {
            provider: self.provider.to_owned(),
            name: self.name.to_owned(),
            arguments: self.arguments.to_owned(),
            offset: code.file_offset(address),
            address,
            semaphore,
        })
    }

    fn lost(&self, what: &str) -> HostError {
        let (provider, name) = (self.provider, self.name);
        broken(format!("probe `{provider}:{name}` {what}"))
    }
}

impl Segment {
    fn file_offset(&self, address: u64) -> u64 {
        address.wrapping_sub(self.address).wrapping_add(self.offset)
    }
}

/// The segment that an address is in.
fn find(segments: &[Segment], address: u64) -> Option<&Segment> {
    let after = segments.partition_point(|segment| segment.address <= address);
    let segment = segments.get(after.checked_sub(1)?)?;
    let inside = address.checked_sub(segment.address)?;
    (inside < segment.len).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library with one probe, which has a semaphore.
    const LIBRARY: &[u8] = include_bytes!("../../../fuzz/seeds/usdt/library.so");

    #[test]
    fn a_probe_is_where_its_note_says() {
        let all = Notes::read(LIBRARY).unwrap();
        assert_eq!((all.machine, all.is_movable), (Some(Machine::X86_64), true));
        let [note] = &all.notes[..] else {
            panic!("{all:?}");
        };
        assert_eq!((&*note.provider, &*note.name), ("seed", "probe"));
        assert_eq!(note.arguments, "-4@%edi 8@-8(%rbp)");
        // The instruction that does nothing, and a counter that is zero.
        let at = |offset: u64| LIBRARY[usize::try_from(offset).unwrap()];
        assert_eq!(at(note.offset), 0x90);
        assert_eq!(at(note.semaphore.unwrap()), 0);
    }

    #[test]
    fn a_library_cut_anywhere_never_panics() {
        for end in 0..LIBRARY.len() {
            std::hint::black_box(Notes::read(&LIBRARY[..end]).is_ok());
        }
    }

    #[test]
    fn nonsense_in_notes_is_named() {
        let owner = LIBRARY.windows(8).position(|w| w == OWNER).unwrap();
        let edit = |at: usize, byte: u8| {
            let mut bytes = LIBRARY.to_vec();
            bytes[at] = byte;
            Notes::read(&bytes).unwrap_err().to_string()
        };
        // Another owner, another type, a length beyond the section, a place in no code.
        assert!(edit(owner, b'S').contains("something else"));
        assert!(edit(owner - 4, 4).contains("something else"));
        assert!(edit(owner - 5, 0x7f).contains("cut"));
        assert!(edit(owner + 8 + 7, 0x7f).contains("`seed:probe` is in no code"));
    }
}
