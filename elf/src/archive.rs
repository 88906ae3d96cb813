//! Libraries inside a ZIP archive, which is how Android applications have them: stored as they are,
//! and mapped from the archive, so that a probe is set on the archive itself.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// A member that is stored without compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where its contents begin in the archive, bytes.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

const END_MAGIC: u32 = 0x0605_4b50;
const ENTRY_MAGIC: u32 = 0x0201_4b50;
const LOCAL_MAGIC: u32 = 0x0403_4b50;
const END_SIZE: usize = 22;
const ENTRY_SIZE: usize = 46;
const LOCAL_SIZE: usize = 30;
/// A comment is at most this long, and comes after the end record.
const COMMENT_MAX: usize = 0xffff;
/// Flags of a member that cannot be used: encrypted, or with its length after it.
const BAD_FLAGS: u16 = 1 | 8;

fn broken(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// Finds a member of an archive by its name; `None` if it has none, or only one that is encrypted.
///
/// Takes as much memory as the archive's directory has bytes, and reads no more of the archive.
///
/// # Errors
/// A file that is no ZIP archive, or one that is split, or a member that is compressed.
#[doc(alias = "find_in_zip")]
pub fn find(file: &mut (impl Read + Seek), name: &[u8]) -> io::Result<Option<Member>> {
    let directory = central_directory(file)?;
    let mut rest = &*directory;
    while u32_at(rest, 0) == Some(ENTRY_MAGIC) {
        let entry = rest
            .get(..ENTRY_SIZE)
            .ok_or_else(|| broken("the directory is cut"))?;
        let half = |at| usize::from(u16_at(entry, at).unwrap_or(0));
        let (name_len, extra_len, comment_len) = (half(28), half(30), half(32));
        let found = rest.get(ENTRY_SIZE..).and_then(|rest| rest.get(..name_len));
        let flags = u16_at(entry, 8).unwrap_or(0);
        if found == Some(name) && flags & BAD_FLAGS == 0 {
            return local(file, entry).map(Some);
        }
        let whole = ENTRY_SIZE + name_len + extra_len + comment_len;
        rest = rest
            .get(whole..)
            .ok_or_else(|| broken("the directory is cut"))?;
    }
    Ok(None)
}

/// The contents of a member, inside the archive as [`find`] says.
///
/// # Errors
/// A member that reaches outside the archive, and what the reader says.
pub fn read(file: &mut (impl Read + Seek), member: Member) -> io::Result<Vec<u8>> {
    let size = file.seek(SeekFrom::End(0))?;
    let end = member.offset.checked_add(member.len);
    match end.is_some_and(|end| end <= size) {
        true => read_at(file, member.offset, member.len),
        false => Err(broken("a member reaches outside the archive")),
    }
}

/// The list of members: its place is in a record at the end, before a comment.
fn central_directory(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let size = file.seek(SeekFrom::End(0))?;
    if u32::try_from(size).is_err() || size <= END_SIZE as u64 {
        return Err(broken("its size is not that of a ZIP archive"));
    }
    let tail = size.min((END_SIZE + COMMENT_MAX) as u64);
    let tail = read_at(file, size - tail, tail)?;
    let end = (0..=tail.len().saturating_sub(END_SIZE))
        .rev()
        .find_map(|at| {
            let record = tail.get(at..)?;
            let comment = usize::from(u16_at(record, 20)?);
            let fits = comment.checked_add(END_SIZE) == Some(record.len());
            (u32_at(record, 0) == Some(END_MAGIC) && fits).then_some(record)
        });
    let end = end.ok_or_else(|| broken("it has no end record of a ZIP archive"))?;
    let half = |at| u16_at(end, at).unwrap_or(0);
    if half(4) != 0 || half(6) != 0 || half(8) != half(10) {
        return Err(broken("it is one part of a split archive"));
    }
    let word = |at| u64::from(u32_at(end, at).unwrap_or(0));
    let (len, start) = (word(12), word(16));
    if start + len > size {
        return Err(broken("the directory reaches outside the archive"));
    }
    read_at(file, start, len)
}

/// The contents begin after a second header, which has lengths of its own.
fn local(file: &mut (impl Read + Seek), entry: &[u8]) -> io::Result<Member> {
    let start = u64::from(u32_at(entry, 42).unwrap_or(0));
    let header = read_at(file, start, LOCAL_SIZE as u64)?;
    let half = |at| u16_at(&header, at).unwrap_or(0);
    if u32_at(&header, 0) != Some(LOCAL_MAGIC) || half(6) & BAD_FLAGS != 0 {
        return Err(broken("a member does not begin as it should"));
    }
    if half(8) != 0 {
        return Err(broken("the member is compressed"));
    }
    let names = u64::from(half(26)) + u64::from(half(28));
    let len = u32_at(&header, 18).unwrap_or(0);
    Ok(Member {
        offset: start + LOCAL_SIZE as u64 + names,
        len: len.into(),
    })
}

/// Reads what is known to be inside the file, which is shorter than 4 GiB.
fn read_at(file: &mut (impl Read + Seek), start: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    if file.take(len).read_to_end(&mut bytes)? as u64 != len {
        return Err(broken("it is cut"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn archive(method: u16, flags: u16, comment: &[u8]) -> Vec<u8> {
        let (name, contents) = (b"lib/a.so", b"contents");
        let mut bytes = vec![0xaa; 5];
        let start = bytes.len() as u32;
        bytes.extend(LOCAL_MAGIC.to_le_bytes());
        bytes.extend(
            [20, flags, method, 0, 0]
                .iter()
                .flat_map(|half: &u16| half.to_le_bytes()),
        );
        bytes.extend([0, 8, 8].iter().flat_map(|word: &u32| word.to_le_bytes()));
        bytes.extend([8, 3].iter().flat_map(|half: &u16| half.to_le_bytes()));
        bytes.extend(name);
        bytes.extend(b"xyz");
        bytes.extend(contents);
        let directory = bytes.len() as u32;
        bytes.extend(ENTRY_MAGIC.to_le_bytes());
        let halves = [20, 20, flags, method, 0, 0];
        bytes.extend(halves.iter().flat_map(|half: &u16| half.to_le_bytes()));
        bytes.extend([0, 8, 8].iter().flat_map(|word: &u32| word.to_le_bytes()));
        bytes.extend(
            [8, 0, 0, 0, 0]
                .iter()
                .flat_map(|half: &u16| half.to_le_bytes()),
        );
        bytes.extend([0, start].iter().flat_map(|word: &u32| word.to_le_bytes()));
        bytes.extend(name);
        let len = bytes.len() as u32 - directory;
        bytes.extend(END_MAGIC.to_le_bytes());
        bytes.extend(
            [0, 0, 1, 1]
                .iter()
                .flat_map(|half: &u16| half.to_le_bytes()),
        );
        bytes.extend(
            [len, directory]
                .iter()
                .flat_map(|word: &u32| word.to_le_bytes()),
        );
        bytes.extend((comment.len() as u16).to_le_bytes());
        bytes.extend(comment);
        bytes
    }

    fn find(bytes: &[u8], name: &str) -> io::Result<Option<Member>> {
        super::find(&mut Cursor::new(bytes), name.as_bytes())
    }

    #[test]
    fn stored_member_is_found_behind_any_comment() {
        for comment in [
            &b""[..],
            b"a comment",
            b"PK\x05\x06 in a comment of some length......",
        ] {
            let bytes = archive(0, 0, comment);
            let member = find(&bytes, "lib/a.so").unwrap().unwrap();
            let (start, end) = (
                member.offset as usize,
                (member.offset + member.len) as usize,
            );
            assert_eq!(&bytes[start..end], b"contents");
            assert_eq!(find(&bytes, "lib/a").unwrap(), None);
        }
    }

    #[test]
    fn compressed_member_is_an_error_and_encrypted_one_no_match() {
        let error = find(&archive(8, 0, b""), "lib/a.so").unwrap_err();
        assert_eq!(error.to_string(), "the member is compressed");
        assert_eq!(find(&archive(0, 1, b""), "lib/a.so").unwrap(), None);
    }

    #[test]
    fn cut_and_damaged_archives_are_errors_or_answers() {
        let whole = archive(0, 0, b"");
        for at in 0..whole.len() {
            assert!(find(&whole[..at], "lib/a.so").is_err());
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            drop(find(&damaged, "lib/a.so"));
        }
    }

    #[test]
    fn a_member_is_read_where_it_is_and_not_outside() {
        let bytes = archive(0, 0, b"");
        let member = find(&bytes, "lib/a.so").unwrap().unwrap();
        let contents = |member| read(&mut Cursor::new(&bytes), member);
        assert_eq!(contents(member).unwrap(), b"contents");
        for offset in [bytes.len() as u64, u64::MAX] {
            assert!(contents(Member { offset, ..member }).is_err());
        }
    }
}
