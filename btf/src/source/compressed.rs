//! Compressed data, told by its first bytes.

use std::io::Read;

use ruzstd::decoding::{DEFAULT_MAX_WINDOW_SIZE, StreamingDecoder};

use crate::error::{Error, Result};

/// The most bytes that a file may be when it is unpacked; real ones grow to about five times.
pub(super) const fn limit(packed: usize) -> u64 {
    packed as u64 * 100 + (1 << 20)
}

/// Reads what is in the data, of which there may be so many bytes.
type Reader = for<'d> fn(&'d [u8], u64) -> std::io::Result<Box<dyn Read + 'd>>;

/// One format: how its data starts, and how to read it.
pub(super) struct Format {
    name: &'static str,
    pub(super) magic: &'static [u8],
    reader: Reader,
}

/// What every decoder of zstd has to keep for looking back, as its format says.
const LEAST_WINDOW: u64 = 8 << 20;

pub(super) const FORMATS: &[Format] = &[
    Format {
        name: "gzip",
        magic: b"\x1f\x8b\x08",
        reader: |data, _| Ok(Box::new(flate2::bufread::GzDecoder::new(data))),
    },
    Format {
        name: "xz",
        magic: b"\xfd7zXZ\0",
        reader: |data, _| Ok(Box::new(lzma_rust2::XzReader::new(data, false))),
    },
    Format {
        name: "zstd",
        magic: b"\x28\xb5\x2f\xfd",
        reader: |data, limit| {
            // It is taken at once, whatever comes of it.
            let window = limit.clamp(LEAST_WINDOW, DEFAULT_MAX_WINDOW_SIZE);
            let decoder = StreamingDecoder::new_with_max_window_size(data, window);
            Ok(Box::new(decoder.map_err(std::io::Error::other)?))
        },
    },
    Format {
        name: "lz4",
        magic: b"\x02\x21\x4c\x18",
        reader: |data, _| Ok(Box::new(lz4_flex::frame::FrameDecoder::new(data))),
    },
];

/// The content, if the data is of a known format.
pub(super) fn unpack(data: &[u8]) -> Result<Option<Vec<u8>>> {
    let format = FORMATS.iter().find(|format| data.starts_with(format.magic));
    let Some(format) = format else {
        return Ok(None);
    };
    let mut content = Vec::new();
    let fault = |source| Error::Container {
        what: format.name,
        source: Box::new(source),
    };
    let limit = limit(data.len());
    format.unpack(data, limit, &mut content).map_err(fault)?;
    Ok(Some(content))
}

impl Format {
    /// Unpacks data that starts with the magic, as far as it can be read; what follows it is left
    /// alone.
    pub(super) fn unpack(
        &self,
        data: &[u8],
        limit: u64,
        content: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let mut reader = (self.reader)(data, limit)?.take(limit);
        reader.read_to_end(content)?;
        if content.len() as u64 == limit {
            return Err(std::io::Error::other(
                "it grows to more than any kernel has",
            ));
        }
        Ok(())
    }
}
