//! What is pinned in a bpffs: all of a tree, and the objects of one directory by name.

use std::collections::{BTreeMap, VecDeque};
use std::fs::ReadDir;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use purebpf_syscall::{ObjectKind, kind_of, obj_get};

use crate::error::shown;
use crate::pin::{Pin, check_bpffs};
use crate::{Errno, Error, Link, Map, Program};

/// An object that is pinned, opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Pinned {
    /// A map.
    Map(Map),
    /// A program.
    Program(Program),
    /// A link.
    Link(Link),
}

impl Pinned {
    /// Opens what is pinned at `path`, whatever it is.
    ///
    /// # Errors
    /// `ENOENT` without such a path, and what the kernel says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let object = shown(|f| write!(f, "pin {}", path.display()));
        let fd = obj_get(path, 0).map_err(Error::call(object, "open it"))?;
        let kind = kind_of(fd.as_fd()).map_err(Error::call(object, "see what it is"))?;
        let pin = Pin::at(path);
        match kind {
            Some(ObjectKind::Map) => Map::take(fd, pin, &object).map(Self::Map),
            Some(ObjectKind::Program) => Program::take(fd, pin, &object).map(Self::Program),
            Some(ObjectKind::Link) => Link::take(fd, pin, &object).map(Self::Link),
            _ => {
                let expected = "a map, program or link";
                Err(Error::mismatch(
                    object,
                    "the fd",
                    "something else",
                    expected,
                ))
            }
        }
    }
}

/// A walk through all that is pinned below a directory, see [`pins`].
#[derive(Debug)]
pub struct Pins {
    reading: Option<ReadDir>,
    directories: VecDeque<PathBuf>,
    /// Where the walk began, until that is looked at.
    root: Option<PathBuf>,
}

/// Everything that is pinned in the bpffs at `root`, such as `/sys/fs/bpf`, or in a directory of it, and
/// in all directories below: the path, and the object, opened.
///
/// What goes away meanwhile is left out. What cannot be opened is an error among the items, and so is
/// a directory that cannot be read.
pub fn pins(root: impl AsRef<Path>) -> Pins {
    Pins {
        reading: None,
        directories: VecDeque::new(),
        root: Some(root.as_ref().to_owned()),
    }
}

impl Pins {
    fn step(&mut self) -> Result<Option<(PathBuf, Pinned)>, Error> {
        if let Some(root) = self.root.take() {
            check_bpffs(&"pins", &root)?;
            self.directories.push_back(root);
        }
        loop {
            let Some(reading) = &mut self.reading else {
                let Some(directory) = self.directories.pop_front() else {
                    return Ok(None);
                };
                self.reading = match std::fs::read_dir(&directory) {
                    Err(error) if error.kind() == ErrorKind::NotFound => None,
                    reading => Some(reading.map_err(Error::file("read", &directory))?),
                };
                continue;
            };
            let Some(entry) = reading.next() else {
                self.reading = None;
                continue;
            };
            let failed = Error::file("read a directory of", Path::new("a bpffs"));
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::file("look at", &path))?;
            if kind.is_dir() {
                self.directories.push_back(path);
            } else if kind.is_file() {
                match Pinned::open(&path) {
                    Err(error) if error.is_errno(Errno::ENOENT) => {}
                    opened => return opened.map(|pinned| Some((path, pinned))),
                }
            }
        }
    }
}

impl Iterator for Pins {
    type Item = Result<(PathBuf, Pinned), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// The objects that are pinned in one directory, by name: what a whole object left there, opened again
/// in one step.
#[derive(Clone, Debug)]
pub struct PinnedObject {
    directory: PathBuf,
    maps: BTreeMap<String, Map>,
    programs: BTreeMap<String, Program>,
    links: BTreeMap<String, Link>,
}

impl PinnedObject {
    /// Opens all that is pinned in `directory`, but not below. The names of the handles are those of the
    /// files.
    ///
    /// # Errors
    /// A directory that cannot be read or is not in a bpffs; the first thing that cannot be opened, and
    /// then nothing stays open.
    #[doc(alias = "bpf_object__pin")]
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let mut object = Self {
            directory: directory.to_owned(),
            maps: BTreeMap::new(),
            programs: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        let failed = || Error::file("read", directory);
        check_bpffs(&"pins", directory)?;
        for entry in std::fs::read_dir(directory).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if !entry.file_type().map_err(failed())?.is_file() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            match Pinned::open(entry.path())? {
                Pinned::Map(map) => {
                    object.maps.insert(name.clone(), map.with_name(&name));
                }
                Pinned::Program(program) => {
                    let program = program.with_name(&name);
                    object.programs.insert(name, program);
                }
                Pinned::Link(link) => {
                    object.links.insert(name, link);
                }
            }
        }
        Ok(object)
    }

    /// A map by name; dots in it are as good as the underscores that a bpffs has for them.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn map(&self, name: &str) -> Result<Map, Error> {
        self.find(&self.maps, "map", name)
    }

    /// A program by name, as for [`Self::map`].
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn program(&self, name: &str) -> Result<Program, Error> {
        self.find(&self.programs, "program", name)
    }

    /// A link by name, as for [`Self::map`].
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn link(&self, name: &str) -> Result<Link, Error> {
        self.find(&self.links, "link", name)
    }

    fn find<T: Clone>(
        &self,
        all: &BTreeMap<String, T>,
        what: &'static str,
        name: &str,
    ) -> Result<T, Error> {
        let found = all.get(&name.replace('.', "_")).cloned();
        let known = || all.keys().cloned();
        found.ok_or_else(|| Error::not_found(what, name, &self.directory, known()))
    }

    /// All maps, by name.
    pub fn maps(&self) -> impl Iterator<Item = &Map> {
        self.maps.values()
    }

    /// All programs, by name.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.values()
    }

    /// All links, each with its name.
    pub fn links(&self) -> impl Iterator<Item = (&str, &Link)> {
        self.links.iter().map(|(name, link)| (name.as_str(), link))
    }

    /// Takes all of these pins away, links first, and the directory if nothing else is in it.
    ///
    /// # Errors
    /// The first that cannot be taken away; asked again, it goes on with that one.
    #[doc(alias = "bpf_object__unpin")]
    pub fn unpin(&self) -> Result<(), Error> {
        let mut links = self.links.values().filter(|it| it.pin_path().is_some());
        let programs = self.programs.values();
        let mut programs = programs.filter(|it| it.pin_path().is_some());
        let mut maps = self.maps.values().filter(|it| it.pin_path().is_some());
        links.try_for_each(Link::unpin)?;
        programs.try_for_each(Program::unpin)?;
        maps.try_for_each(Map::unpin)?;
        match std::fs::remove_dir(&self.directory) {
            Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
                Err(Error::file("remove", &self.directory)(error))
            }
            _ => Ok(()),
        }
    }
}
