//! Symbols and debug information that were cut off a binary, into a file of their own.
//!
//! Such a file has the addresses of the binary and none of its contents, so an offset comes from the
//! segments of the binary. Nothing is looked for here: the caller finds the file, by what the binary
//! says of it.

use std::ffi::OsString;

use object::{File, Object as _, ObjectSegment as _, ReadCache, ReadRef};

use super::data::{Data, Positioned};
use super::system::file_name;
use super::{Executable, HostError, in_table};
use crate::Bytes;

/// What a binary says of its debug file (section `.gnu_debuglink`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugLink {
    /// The name of the file, without a folder.
    pub name: OsString,
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
    fn of<'d, R: ReadRef<'d>>(file: &File<'d, R>) -> Self {
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

/// What the headers and notes of a binary say.
struct Facts {
    build_id: object::Result<Option<Vec<u8>>>,
    debug_link: object::Result<Option<(Vec<u8>, u32)>>,
    segments: Segments,
}

impl Facts {
    fn read<'d, R: ReadRef<'d>>(data: R) -> Result<Self, HostError> {
        let file = File::parse(data).map_err(in_table("headers"))?;
        let link = file.gnu_debuglink();
        Ok(Self {
            build_id: file.build_id().map(|id| id.map(<[u8]>::to_vec)),
            debug_link: link.map(|link| link.map(|(name, crc)| (name.to_vec(), crc))),
            segments: Segments::of(&file),
        })
    }
}

impl Executable {
    fn facts(&self) -> Result<Facts, HostError> {
        match &self.data {
            Data::Bytes(bytes) => Facts::read(&**bytes),
            Data::File(file) => Facts::read(&ReadCache::new(Positioned::new(file))),
        }
    }

    /// The name that linkers give a binary and its debug file, from its contents.
    ///
    /// # Errors
    /// A broken note.
    pub fn build_id(&self) -> Result<Option<Vec<u8>>, HostError> {
        self.facts()?.build_id.map_err(in_table("build id"))
    }

    /// What it says of its debug file.
    ///
    /// # Errors
    /// A broken section. A name with a folder in it is none.
    pub fn debug_link(&self) -> Result<Option<DebugLink>, HostError> {
        let link = self.facts()?.debug_link.map_err(in_table("debug link"))?;
        let Some((name, crc)) = link else {
            return Ok(None);
        };
        let is_name = !name.is_empty() && !name.contains(&b'/') && !name.starts_with(b".");
        match file_name(name).filter(|_| is_name) {
            Some(name) => Ok(Some(DebugLink { name, crc })),
            None => Err(HostError::Table {
                table: "debug link",
                what: "it is not the name of a file".to_owned(),
            }),
        }
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
        let segments = self.facts()?.segments;
        Ok(Self {
            debug: Some((debug.data, segments)),
            ..self
        })
    }

    /// Where in the file the bytes are that are mapped at these addresses; nothing where there is none.
    ///
    /// # Errors
    /// Broken program headers.
    pub fn offsets_of(&self, addresses: &[u64]) -> Result<Vec<Option<u64>>, HostError> {
        let segments = self.facts()?.segments;
        let offset = |address: &u64| segments.offset(*address);
        Ok(addresses.iter().map(offset).collect())
    }
}
