//! What a binary is read from: bytes that are there, or a file of which only the parts are read that
//! are needed. A file is not mapped, since whoever cuts it off would end the reader.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::system::read_at;
use crate::Bytes;

#[derive(Clone, Debug)]
pub(super) enum Data {
    Bytes(Bytes),
    File(Arc<File>),
}

impl Data {
    /// All of it.
    pub(super) fn whole(&self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(file) => {
                let mut bytes = Vec::new();
                Positioned::new(file).read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }
}

/// A file with a position of its own, which other readers of the file do not move.
#[derive(Debug)]
pub(super) struct Positioned<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Positioned<'a> {
    pub(super) const fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for Positioned<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
