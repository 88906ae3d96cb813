//! Memory that two sides share, as a map's: a file in the place of the kernel.

use std::fs::File;
use std::os::fd::AsFd;

use purebpf_syscall::{MapRequest, Mapping};

/// A file without a name, which can be mapped many times.
pub struct Memory(File);

impl Memory {
    /// So many bytes, all zero.
    ///
    /// # Panics
    /// If there is no room.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let name = format!("purebpf-fuzz-{}-{len}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = File::options();
        let options = options.read(true).write(true).create_new(true);
        let file = options.open(&path).expect("a file can be made");
        std::fs::remove_file(&path).expect("it is there");
        file.set_len(len as u64).expect("there is room");
        Self(file)
    }

    /// A part of it.
    ///
    /// # Panics
    /// If it cannot be mapped.
    #[must_use]
    pub fn map(&self, offset: usize, len: usize, writable: bool) -> Mapping {
        let request = MapRequest {
            fd: Some(self.0.as_fd()),
            offset: offset as u64,
            len,
            writable,
            address: 0,
        };
        Mapping::new(&request).expect("it can be mapped")
    }
}
