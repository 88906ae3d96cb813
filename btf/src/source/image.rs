//! A kernel inside its boot image.
//!
//! On x86 the image unpacks itself: the kernel is an ELF file that lies compressed in it. On arm64
//! and s390x what lies there is the kernel's memory, without headers, and so is its BTF.

use super::compressed::{FORMATS, Format, limit};
use super::{Sections, elf};
use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::raw::{Endian, HEADER_LEN, HEADER_LEN_LAYOUT, MAGIC, VERSION};

pub(super) fn find(image: &[u8]) -> Result<Sections> {
    // What looks like compressed data and is none costs little, unless it was made to cost much.
    let mut left = limit(image.len());
    for format in FORMATS {
        for at in positions(image, format.magic) {
            let data = image.get(at..).unwrap_or_default();
            if let Some(found) = unpacked(format, data, &mut left) {
                return Ok(found);
            }
        }
    }
    in_memory(image).ok_or(Error::NoBtf {
        what: "the file is neither ELF nor BTF, and has no kernel in it",
    })
}

fn unpacked(format: &Format, data: &[u8], left: &mut u64) -> Option<Sections> {
    const START: u64 = 1 << 12;
    let mut content = Vec::new();
    let result = format.unpack(data, *left, &mut content);
    *left = left.saturating_sub(content.len() as u64 + START);
    // The length of the kernel stands behind it, which some formats take for more data.
    if result.is_err() && content.is_empty() {
        return None;
    }
    if elf::is_elf(&content) {
        return elf::sections(&content).ok();
    }
    in_memory(&content)
}

/// The largest BTF that lies anywhere in these bytes.
fn in_memory(memory: &[u8]) -> Option<Sections> {
    let mut largest: Option<&[u8]> = None;
    let mut left = memory.len().saturating_mul(4);
    for magic in [MAGIC.to_le_bytes(), MAGIC.to_be_bytes()] {
        let start = [magic[0], magic[1], VERSION, 0];
        for at in positions(memory, &start) {
            let Some(data) = memory.get(at..).and_then(whole) else {
                continue;
            };
            if largest.is_some_and(|largest| largest.len() >= data.len()) {
                continue;
            }
            left = left.checked_sub(data.len())?;
            if Btf::parse(data).is_ok_and(|btf| btf.len() > 1) {
                largest = Some(data);
            }
        }
    }
    let btf = largest?.to_vec();
    Some(Sections {
        btf,
        ..Sections::default()
    })
}

/// As many of these bytes as a BTF header at their start says.
fn whole(data: &[u8]) -> Option<&[u8]> {
    let endian = Endian::of_magic(".BTF", data).ok()?;
    let field = |at: usize| {
        let bytes = data.get(at..)?.first_chunk()?;
        Some(u64::from(endian.u32(*bytes)))
    };
    let len = field(4)?;
    if len != HEADER_LEN as u64 && len != HEADER_LEN_LAYOUT as u64 {
        return None;
    }
    let (str_off, str_len) = (field(16)?, field(20)?);
    data.get(..usize::try_from(len + str_off + str_len).ok()?)
}

fn positions<'a>(data: &'a [u8], magic: &'a [u8]) -> impl Iterator<Item = usize> + use<'a> {
    memchr::memmem::find_iter(data, magic)
}
