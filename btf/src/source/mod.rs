//! Where a file has its BTF: an ELF file, a compressed module, a kernel's boot image, or BTF itself.
//!
//! Bytes in, bytes out: nothing here opens a file. What is found is not checked;
//! [`Btf::parse`](crate::Btf::parse) does that.
//!
//! ```text
//! elf.rs         sections of ELF files of any machine
//! compressed.rs  gzip, xz, zstd, lz4 (feature `compressed`)
//! image.rs       a kernel inside its boot image (feature `compressed`)
//! ```

#[cfg(feature = "compressed")]
mod compressed;
mod elf;
#[cfg(feature = "compressed")]
mod image;

use crate::error::Result;
use crate::raw::MAGIC;

/// The BTF sections of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sections {
    /// `.BTF`.
    pub btf: Vec<u8>,
    /// `.BTF.base`: the distilled base of a module.
    pub base: Option<Vec<u8>>,
    /// `.BTF.ext`: of a BPF object.
    pub ext: Option<Vec<u8>>,
}

/// The BTF of a file, whatever the file is.
///
/// With the feature `compressed` that can be a compressed file or a boot image as well (`bzImage`,
/// `Image.gz`, the images of arm64 and s390x); without it these are refused.
///
/// # Errors
/// [`Error::NoBtf`](crate::Error::NoBtf) if there is none, [`Error::Container`](crate::Error::Container) for a file that is damaged.
#[doc(alias = "btf__parse")]
pub fn find(file: &[u8]) -> Result<Sections> {
    if is_raw(file) {
        return Ok(Sections {
            btf: file.to_vec(),
            ..Sections::default()
        });
    }
    if elf::is_elf(file) {
        return elf::sections(file);
    }
    #[cfg(feature = "compressed")]
    {
        match compressed::unpack(file)? {
            // One layer only: nobody compresses twice, and a file could be made to have many.
            Some(content) if elf::is_elf(&content) => elf::sections(&content),
            Some(content) => image::find(&content),
            None => image::find(file),
        }
    }
    #[cfg(not(feature = "compressed"))]
    Err(crate::error::Error::NoBtf {
        what: "the file is neither ELF nor BTF",
    })
}

fn is_raw(file: &[u8]) -> bool {
    let magic = file.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
    matches!(magic, Some(found) if found == MAGIC || found == MAGIC.swap_bytes())
}

#[cfg(test)]
mod tests;
