//! Binaries of the host: where they are, and where in them a function is.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use purebpf_elf::host::{Executable, HostError};
use purebpf_syscall::fs::is_accessible;

use super::{archive, debug_file};
use crate::Error;

/// The path of a binary given by name: what has a `/` is a path already, a library (`.so`) is looked
/// for in `$LD_LIBRARY_PATH` and where libraries are, all else in `$PATH`.
///
/// # Errors
/// [`Error::NotFound`].
#[doc(alias = "resolve_full_path")]
pub fn resolve_binary(name: &str) -> Result<PathBuf, Error> {
    if name.contains('/') {
        return Ok(name.into());
    }
    let library = name.ends_with(".so") || name.contains(".so.");
    let (variable, usual): (_, &[&str]) = if library {
        ("LD_LIBRARY_PATH", &["/usr/lib64", "/usr/lib", LIBRARIES])
    } else {
        ("PATH", &["/usr/bin", "/usr/sbin"])
    };
    let given = std::env::var_os(variable).unwrap_or_default();
    let place = directories(&given, usual);
    let found = place.iter().map(|directory| directory.join(name));
    found
        .into_iter()
        .find(|path| is_accessible(path, !library))
        .ok_or_else(|| {
            let place = std::env::join_paths(&place).unwrap_or_else(|_| given.clone());
            Error::not_found("binary", name, place, [])
        })
}

fn directories(given: &OsString, usual: &[&str]) -> Vec<PathBuf> {
    std::env::split_paths(given)
        .chain(usual.iter().map(PathBuf::from))
        .filter(|directory| !directory.as_os_str().is_empty())
        .collect()
}

/// Where distributions like Debian have the libraries of this machine.
const LIBRARIES: &str = if cfg!(target_arch = "x86_64") {
    "/lib/x86_64-linux-gnu"
} else if cfg!(target_arch = "x86") {
    "/lib/i386-linux-gnu"
} else if cfg!(target_arch = "s390x") {
    "/lib/s390x-linux-gnu"
} else if cfg!(all(target_arch = "arm", target_abi = "eabihf")) {
    "/lib/arm-linux-gnueabihf"
} else if cfg!(target_arch = "arm") {
    "/lib/arm-linux-gnueabi"
} else if cfg!(target_arch = "aarch64") {
    "/lib/aarch64-linux-gnu"
} else if cfg!(all(target_arch = "mips64", target_endian = "little")) {
    "/lib/mips64el-linux-gnuabi64"
} else if cfg!(all(target_arch = "mips", target_endian = "little")) {
    "/lib/mipsel-linux-gnu"
} else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
    "/lib/powerpc64le-linux-gnu"
} else if cfg!(target_arch = "sparc64") {
    "/lib/sparc64-linux-gnu"
} else if cfg!(target_arch = "riscv64") {
    "/lib/riscv64-linux-gnu"
} else {
    ""
};

/// A binary that is there: a file, or a part of an archive.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    /// The file that a probe is set on.
    pub(super) path: PathBuf,
    member: Option<archive::Member>,
}

impl Binary {
    /// Finds a binary by path, by name, or as `ARCHIVE!/MEMBER`.
    pub(super) fn find(name: &str) -> Result<Self, Error> {
        match archive::split(name) {
            Some((path, member)) => {
                let path = PathBuf::from(path);
                let member = Some(archive::find(&path, member)?);
                Ok(Self { path, member })
            }
            None => Ok(Self {
                path: resolve_binary(name)?,
                member: None,
            }),
        }
    }

    /// Where the binary begins in the file, bytes.
    pub(super) fn start(&self) -> u64 {
        self.member.map_or(0, |member| member.offset)
    }

    pub(super) fn read(&self) -> Result<Executable, Error> {
        let bytes = match self.member {
            Some(member) => archive::read(&self.path, member)?,
            None => std::fs::read(&self.path).map_err(Error::file("read binary", &self.path))?,
        };
        Executable::parse(bytes).map_err(|source| self.broken(source))
    }

    /// The contents of its debug file, if it has one. Parts of archives have none.
    pub(super) fn debug_file(&self, executable: &Executable) -> Result<Option<Vec<u8>>, Error> {
        if self.member.is_some() {
            return Ok(None);
        }
        debug_file::read(&self.path, executable).map_err(|source| self.broken(source))
    }

    /// Asks the binary, and if that has no answer, the binary with its debug file.
    fn ask<T>(
        &self,
        question: impl Fn(&Executable) -> Result<T, HostError>,
        is_answer: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let executable = self.read()?;
        let answer = question(&executable).map_err(|source| self.broken(source))?;
        if is_answer(&answer) {
            return Ok(answer);
        }
        let Some(bytes) = self.debug_file(&executable)? else {
            return Ok(answer);
        };
        let whole = executable.with_debug_file(bytes);
        whole
            .and_then(|whole| question(&whole))
            .map_err(|source| self.broken(source))
    }

    pub(super) fn broken(&self, source: HostError) -> Error {
        Error::Binary {
            path: self.path.clone(),
            source,
        }
    }

    pub(super) fn missing(
        &self,
        what: &'static str,
        name: &str,
        known: impl IntoIterator<Item = String>,
    ) -> Error {
        Error::not_found(what, name, &self.path, known)
    }

    /// For a function that has no symbol, with those that have.
    fn missing_symbol(&self, name: &str) -> Error {
        let known = RefCell::new(HashSet::new());
        // What cannot be read has no names to tell.
        let _read = self.ask(
            |it| {
                it.matching_offsets(|name| {
                    known.borrow_mut().insert(name.to_owned());
                    false
                })
            },
            |_| false,
        );
        self.missing("symbol", name, known.into_inner())
    }

    /// Where in the file a function is, bytes.
    pub(super) fn symbol(&self, name: &str) -> Result<u64, Error> {
        let offset = self.ask(|it| it.symbol_offset(name), Option::is_some)?;
        let offset = offset.ok_or_else(|| self.missing_symbol(name))?;
        Ok(self.start().saturating_add(offset))
    }

    /// Where many functions are.
    pub(super) fn symbols(&self, names: &[&str]) -> Result<Vec<u64>, Error> {
        let are_there = |offsets: &Vec<Option<u64>>| offsets.iter().all(Option::is_some);
        let offsets = self.ask(|it| it.symbol_offsets(names), are_there)?;
        let found = names.iter().zip(offsets).map(|(name, offset)| {
            let offset = offset.ok_or_else(|| self.missing_symbol(name))?;
            Ok(self.start().saturating_add(offset))
        });
        found.collect()
    }

    /// Where all functions are whose name `accepts`, which is for `pattern`.
    pub(super) fn matching(
        &self,
        pattern: &str,
        accepts: impl Fn(&str) -> bool,
    ) -> Result<Vec<u64>, Error> {
        let offsets = self.ask(
            |it| it.matching_offsets(&accepts),
            |offsets| !offsets.is_empty(),
        )?;
        if offsets.is_empty() {
            return Err(self.missing("symbol like", pattern, []));
        }
        Ok(offsets
            .into_iter()
            .map(|offset| self.start().saturating_add(offset))
            .collect())
    }
}

/// The last part of a path, for names.
pub(super) fn label(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_looked_for_by_kind() {
        assert_eq!(resolve_binary("./x.so").unwrap(), Path::new("./x.so"));
        assert!(resolve_binary("sh").unwrap().ends_with("sh"));
        let error = resolve_binary("no-such-binary-anywhere").unwrap_err();
        assert!(error.to_string().contains("/usr/sbin"), "{error}");
    }

    #[test]
    fn empty_parts_of_a_list_are_no_directories() {
        let found = directories(&"/a::/b".into(), &["/c", ""]);
        assert_eq!(found, ["/a", "/b", "/c"].map(PathBuf::from));
    }
}
