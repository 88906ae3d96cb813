//! Pins: paths in a bpffs that keep objects alive.

mod trust;

use std::fmt::Display;
use std::fs::DirEntry;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use purebpf_syscall::fs::{FileSystem, file_system};
use purebpf_syscall::{Errno, ObjectKind, obj_get, obj_pin};

use crate::Error;
use crate::id::id_of;
pub use trust::check_trusted;

/// Where an object called `name` is pinned below `directory`: a bpffs takes no dots in names, so
/// that they become underscores there.
#[must_use]
pub fn path_in(directory: &Path, name: &str) -> PathBuf {
    directory.join(name.replace('.', "_"))
}

/// The pin of one object that this process knows of.
#[derive(Debug, Default)]
pub(crate) struct Pin {
    path: Mutex<Option<PathBuf>>,
    /// Why it cannot be pinned.
    refusal: OnceLock<&'static str>,
}

impl Pin {
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: Mutex::new(Some(path.to_owned())),
            refusal: OnceLock::new(),
        }
    }

    /// It cannot be pinned, for this reason; the first counts.
    pub(crate) fn refuse(&self, why: &'static str) {
        self.refusal.get_or_init(|| why);
    }

    fn check(&self, object: &Pinnable<'_>) -> Result<(), Error> {
        match self.refusal.get() {
            Some(why) => Err(Error::invalid(object.name, why)),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<PathBuf>> {
        // The path is replaced in one go, so a panic elsewhere leaves nothing half done.
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.lock().clone()
    }

    /// Whether the object is still there, where it was pinned last.
    pub(crate) fn is_pinned(&self, object: &Pinnable<'_>) -> Result<bool, Error> {
        self.lock()
            .as_deref()
            .map_or(Ok(false), |path| object.is_at(path))
    }

    pub(crate) fn pin(&self, object: &Pinnable<'_>, path: &Path) -> Result<(), Error> {
        self.check(object)?;
        let mut known = self.lock();
        if let Some(known) = known.as_deref()
            && object.is_at(known)?
        {
            if known == path {
                return Ok(());
            }
            let (found, expected) = (known.display(), path.display());
            return Err(Error::mismatch(object.name, "its pin", found, expected));
        }
        object.pin(path)?;
        *known = Some(path.to_owned());
        Ok(())
    }

    /// Pins in place of whatever is pinned there, in one step: whoever is killed meanwhile leaves the
    /// old object or the new one there, and at most a name beside it, which the next removes.
    pub(crate) fn replace(&self, object: &Pinnable<'_>, path: &Path) -> Result<(), Error> {
        self.check(object)?;
        let mut known = self.lock();
        let beside = beside(path);
        object.pin(&beside)?;
        if let Err(error) = std::fs::rename(&beside, path) {
            std::fs::remove_file(&beside).ok();
            return Err(Error::file("replace the pin", path)(error));
        }
        *known = Some(path.to_owned());
        remove_left_over(path);
        Ok(())
    }

    pub(crate) fn unpin(&self, object: &Pinnable<'_>) -> Result<(), Error> {
        let mut known = self.lock();
        let path = known
            .as_deref()
            .ok_or_else(|| Error::invalid(object.name, "it is not pinned"))?;
        check_bpffs(object.name, parent(path))?;
        std::fs::remove_file(path).map_err(Error::file("unpin", path))?;
        *known = None;
        Ok(())
    }
}

/// What is pinned.
pub(crate) struct Pinnable<'a> {
    pub(crate) name: &'a dyn Display,
    pub(crate) kind: ObjectKind,
    pub(crate) fd: BorrowedFd<'a>,
}

impl Pinnable<'_> {
    fn is_at(&self, path: &Path) -> Result<bool, Error> {
        let found = match obj_get(path, 0) {
            Ok(found) => found,
            Err(error) if error.errno() == Errno::ENOENT => return Ok(false),
            Err(error) => return Err(Error::call(self.name, "look at its pin")(error)),
        };
        use std::os::fd::AsFd;
        let failed = Error::call(self.name, "ask for its id");
        let own = id_of(self.kind, self.fd).map_err(failed)?;
        // Anything of another kind that took the place does not answer, or has another id.
        Ok(
            purebpf_syscall::kind_of(found.as_fd()).ok().flatten() == Some(self.kind)
                && id_of(self.kind, found.as_fd()).is_ok_and(|id| id == own),
        )
    }

    fn pin(&self, path: &Path) -> Result<(), Error> {
        let parent = parent(path);
        if path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().contains(&b'.'))
        {
            return Err(Error::invalid(self.name, "a bpffs takes no dots in names"));
        }
        let created = match std::fs::DirBuilder::new().mode(0o700).create(parent) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(Error::file("create directory", parent)(error)),
        };
        let result = check_bpffs(self.name, parent)
            .and_then(|()| obj_pin(path, self.fd).map_err(Error::call(self.name, "pin it")));
        if result.is_err() && created {
            // The directory is ours and empty; if it is not, somebody has begun to use it.
            std::fs::remove_dir(parent).ok();
        }
        result
    }
}

/// A name that nobody else uses at this time.
fn beside(path: &Path) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("~{}_{number}", std::process::id()));
    PathBuf::from(name)
}

/// Whether this is what [`beside`] adds to a name, and not a name that somebody chose.
fn is_of_beside(rest: &[u8]) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = rest
        .strip_prefix(b"~")
        .unwrap_or_default()
        .splitn(2, |byte| *byte == b'_');
    parts.next().is_some_and(is_number) && parts.next().is_some_and(is_number)
}

/// Removes what processes that were killed left beside a pin: no other has such a name for so long.
fn remove_left_over(path: &Path) {
    const LONG: Duration = Duration::from_secs(60);
    let (Some(name), Ok(entries)) = (path.file_name(), std::fs::read_dir(parent(path))) else {
        return;
    };
    let is_beside = |entry: &DirEntry| {
        let found = entry.file_name();
        let rest = found
            .as_encoded_bytes()
            .strip_prefix(name.as_encoded_bytes());
        rest.is_some_and(is_of_beside)
    };
    let is_old = |entry: &DirEntry| {
        let modified = entry.metadata().and_then(|data| data.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age > LONG)
    };
    for entry in entries.flatten() {
        if is_beside(&entry) && is_old(&entry) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Refuses a directory that is not in a bpffs.
pub(crate) fn check_bpffs(object: &dyn Display, directory: &Path) -> Result<(), Error> {
    let found =
        file_system(directory).map_err(|error| Error::file("look at", directory)(error.into()))?;
    match found {
        Some(FileSystem::Bpf) => Ok(()),
        _ => Err(Error::mismatch(
            object,
            "its pin's directory",
            directory.display(),
            "in a bpffs",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_somebody_chose_are_not_left_over() {
        assert!(is_of_beside(b"~12_0"));
        for chosen in [
            &b""[..],
            b"~",
            b"~old",
            b"~12",
            b"~12_",
            b"~_0",
            b"~12_0b",
            b"12_0",
        ] {
            assert!(!is_of_beside(chosen), "{chosen:?}");
        }
    }

    #[test]
    fn dots_of_the_name_alone_are_replaced() {
        let path = path_in(Path::new("/run/my.app/bpf"), ".rodata.str");
        assert_eq!(path, Path::new("/run/my.app/bpf/_rodata_str"));
    }
}
