//! One section of any ELF file, by name: where kernel images and programs keep their BTF.

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader as _};

use crate::Error;

/// The bytes of the first section of this name, in an ELF file of any class, type and machine.
///
/// # Errors
/// [`Error::NotElf`], or [`Error::Section`] for tables or a section that reach outside the file.
pub fn find_section<'a>(file: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, Error> {
    let is_elf = file.starts_with(&object::elf::ELFMAG);
    match file.get(4) {
        Some(2) if is_elf => find::<FileHeader64<Endianness>>(file, name),
        Some(1) if is_elf => find::<FileHeader32<Endianness>>(file, name),
        _ => Err(Error::NotElf {
            begin: file.iter().take(4).copied().collect(),
        }),
    }
}

fn find<'a, Elf: FileHeader<Endian = Endianness>>(
    file: &'a [u8],
    name: &str,
) -> Result<Option<&'a [u8]>, Error> {
    let fail = |section: &str, offset, what| Error::Section {
        section: section.to_owned(),
        offset,
        what,
    };
    let outside = |_| fail("section headers", 0, "they reach outside the file");
    let header = Elf::parse(file).map_err(|_| fail("ELF header", 0, "it is truncated"))?;
    let endian = header.endian().map_err(outside)?;
    let sections = header.sections(endian, file).map_err(outside)?;
    let names = header
        .section_strings_index(endian, file)
        .and_then(|index| sections.section(index))
        .and_then(|section| section.data(endian, file));
    let Ok(names) = names else {
        return Ok(None);
    };
    for section in sections.iter() {
        // Compared where it begins, since looking for its end might take the whole table.
        let begin = section.sh_name(endian) as usize;
        let rest = names
            .get(begin..)
            .and_then(|at| at.strip_prefix(name.as_bytes()));
        if rest.is_some_and(|rest| rest.first() == Some(&0)) {
            let offset = section.sh_offset(endian).into();
            let data = section.data(endian, file);
            return data
                .map(Some)
                .map_err(|_| fail(name, offset, "it reaches outside the file"));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_this_test_is_found() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(find_section(&file, ".text").unwrap().unwrap().len() > 1000);
        assert_eq!(find_section(&file, ".no.such.section"), Ok(None));
        assert_eq!(find_section(&file, ".tex"), Ok(None));
    }

    #[test]
    fn other_files_are_errors() {
        assert!(matches!(
            find_section(b"", ".BTF"),
            Err(Error::NotElf { .. })
        ));
        assert!(matches!(
            find_section(b"\x7fELF\x02", ".BTF"),
            Err(Error::Section { .. })
        ));
    }
}
