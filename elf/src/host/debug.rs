//! Symbols and debug information that were cut off a binary, into a file of their own.
//!
//! Such a file has the addresses of the binary and none of its contents, so an offset comes from the
//! segments of the binary. Nothing is looked for here: the caller finds the file, by what the binary
//! says of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use object::{File, Object as _, ObjectSegment as _};

use super::{Executable, HostError};
use crate::Bytes;

/// What a binary says of its debug file (section `.gnu_debuglink`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugLink<'a> {
    /// The name of the file, without a folder.
    pub name: &'a OsStr,
    /// CRC-32 of its contents.
    pub crc: u32,
}

/// A part of a binary that is mapped.
#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    offset: u64,
    /// Bytes in the file.
    size: u64,
}

/// Where addresses of a binary are in its file.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments(Vec<Segment>);

impl Segments {
    fn of(file: &File<'_>) -> Self {
        let segments = file.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            Segment {
                address: segment.address(),
                offset,
                size,
            }
        });
        Self(segments.collect())
    }

    /// Nothing for an address that the file has no byte for.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        self.0.iter().find_map(|segment| {
            let inside = address.checked_sub(segment.address)?;
            (inside < segment.size).then(|| segment.offset.checked_add(inside))?
        })
    }
}

impl Executable {
    fn file(&self) -> Result<File<'_>, HostError> {
        File::parse(&*self.bytes).map_err(super::in_table("headers"))
    }

    /// The name that linkers give a binary and its debug file, from its contents.
    ///
    /// # Errors
    /// A broken note.
    pub fn build_id(&self) -> Result<Option<&[u8]>, HostError> {
        let id = self.file()?.build_id();
        id.map_err(super::in_table("build id"))
    }

    /// What it says of its debug file.
    ///
    /// # Errors
    /// A broken section. A name with a folder in it is none.
    pub fn debug_link(&self) -> Result<Option<DebugLink<'_>>, HostError> {
        let broken = super::in_table("debug link");
        let Some((name, crc)) = self.file()?.gnu_debuglink().map_err(broken)? else {
            return Ok(None);
        };
        if name.is_empty() || name.contains(&b'/') || name.starts_with(b".") {
            return Err(HostError::Table {
                table: "debug link",
                what: "it is not the name of a file".to_owned(),
            });
        }
        let name = OsStr::from_bytes(name);
        Ok(Some(DebugLink { name, crc }))
    }

    /// Adds the symbols of its debug file, which are asked for what the binary itself does not have.
    ///
    /// # Errors
    /// [`HostError::NotElf`]; a file of another class than the binary.
    pub fn with_debug_file(self, bytes: impl Into<Bytes>) -> Result<Self, HostError> {
        let debug = Self::parse(bytes)?;
        if debug.is_64 != self.is_64 {
            return Err(HostError::Table {
                table: "debug file",
                what: "it is not of the same class as the binary".to_owned(),
            });
        }
        let segments = Segments::of(&self.file()?);
        Ok(Self {
            debug: Some((debug.bytes, segments)),
            ..self
        })
    }

    /// Where in the file the byte is that is mapped at an address; nothing if there is none.
    ///
    /// # Errors
    /// Broken program headers.
    pub fn offset_of(&self, address: u64) -> Result<Option<u64>, HostError> {
        Ok(Segments::of(&self.file()?).offset(address))
    }
}
