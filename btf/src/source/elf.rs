//! Sections of ELF files of any machine and byte order.

use object::{Object as _, ObjectSection as _};

use super::Sections;
use crate::error::{Error, Result};

pub(super) fn is_elf(file: &[u8]) -> bool {
    file.starts_with(b"\x7fELF")
}

pub(super) fn sections(file: &[u8]) -> Result<Sections> {
    let fault = |source| Error::Container {
        what: "ELF",
        source: Box::new(source),
    };
    let elf = object::File::parse(file).map_err(fault)?;
    let section = |name| -> Result<Option<Vec<u8>>> {
        let Some(section) = elf.section_by_name(name) else {
            return Ok(None);
        };
        Ok(Some(section.data().map_err(fault)?.to_vec()))
    };
    let btf = section(".BTF")?.filter(|btf| !btf.is_empty());
    Ok(Sections {
        btf: btf.ok_or(Error::NoBtf {
            what: "the ELF file has no section .BTF",
        })?,
        base: section(".BTF.base")?,
        ext: section(".BTF.ext")?,
    })
}
