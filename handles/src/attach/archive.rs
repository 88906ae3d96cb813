//! Libraries inside archives, by path.

use std::fs::File;
use std::path::Path;

use purebpf_elf::archive;
pub(super) use purebpf_elf::archive::Member;

use crate::Error;

/// The parts of `ARCHIVE!/MEMBER`, if it is that.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    path.split_once("!/")
}

/// Finds a member of an archive.
///
/// # Errors
/// No such member, and as [`archive::find`].
pub(super) fn find(path: &Path, name: &str) -> Result<Member, Error> {
    let mut file = File::open(path).map_err(Error::file("open archive", path))?;
    let found = archive::find(&mut file, name.as_bytes());
    found
        .map_err(Error::file("read archive", path))?
        .ok_or_else(|| Error::not_found("member", name, path, []))
}

/// The contents of a member.
pub(super) fn read(path: &Path, member: Member) -> Result<Vec<u8>, Error> {
    File::open(path)
        .and_then(|mut file| archive::read(&mut file, member))
        .map_err(Error::file("read archive", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_split_at_the_first_mark() {
        assert_eq!(split("/a.apk!/lib!/b.so"), Some(("/a.apk", "lib!/b.so")));
        assert_eq!(split("/usr/bin/sh"), None);
    }
}
