//! Files of the kernel, mapped where that can be done.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use crate::CallError;
use crate::fs::{FileSystem, file_system_of};
use crate::mapping::{MapRequest, Mapping};

/// The contents of a file of the kernel.
#[derive(Debug)]
pub struct KernelFile(Contents);

#[derive(Debug)]
enum Contents {
    Mapped(Mapping),
    Read(Vec<u8>),
}

impl KernelFile {
    /// Whether the contents are the kernel's own pages, not a copy.
    #[must_use]
    pub const fn is_mapped(&self) -> bool {
        matches!(self.0, Contents::Mapped(_))
    }
}

impl AsRef<[u8]> for KernelFile {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Contents::Mapped(mapping) => mapping.bytes(0..mapping.len()).unwrap_or_default(),
            Contents::Read(bytes) => bytes,
        }
    }
}

/// Opens a file such as `/sys/kernel/btf/vmlinux` and maps it where the kernel can do that (6.16),
/// or else reads it. Only files in `/sys` are mapped: nobody can shorten or change those.
///
/// # Errors
/// The file cannot be opened or read.
pub fn map_kernel_file(path: &Path) -> Result<KernelFile, CallError> {
    let io = |call| move |error: std::io::Error| CallError::io(call, &error);
    let mut file = File::open(path).map_err(io("open"))?;
    let len = file.metadata().map_err(io("fstat"))?.len();
    if let (Ok(len), Ok(Some(FileSystem::Sysfs))) =
        (usize::try_from(len), file_system_of(file.as_fd()))
    {
        let fd = Some(file.as_fd());
        let request = MapRequest {
            fd,
            offset: 0,
            len,
            writable: false,
            address: 0,
        };
        // The kernel wants a private mapping here, so that nobody can make it writable later.
        if let Ok(mapping) = Mapping::private(&request) {
            return Ok(KernelFile(Contents::Mapped(mapping)));
        }
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io("read"))?;
    Ok(KernelFile(Contents::Read(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_outside_sysfs_is_read() {
        let file = map_kernel_file(Path::new("/proc/self/status")).unwrap();
        assert!(!file.is_mapped());
        assert!(file.as_ref().starts_with(b"Name:"));
        let error = map_kernel_file(Path::new("/no/such/file")).unwrap_err();
        assert_eq!(error.to_string(), "open: ENOENT: No such file or directory");
    }

    #[test]
    fn a_sysfs_file_has_the_same_bytes_either_way() {
        // Without the kernel's BTF there is a short file that cannot be mapped.
        let path = ["/sys/kernel/btf/vmlinux", "/sys/kernel/notes"].map(Path::new);
        let path = path.into_iter().find(|path| path.exists()).unwrap();
        let file = map_kernel_file(path).unwrap();
        assert!(file.as_ref() == std::fs::read(path).unwrap());
    }
}
