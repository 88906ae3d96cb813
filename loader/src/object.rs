//! `Object`: what was loaded, by name.

use std::path::Path;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};
use indexmap::IndexMap;
use purebpf_btf::Btf;
use purebpf_handles::attach::StructOps;
use purebpf_handles::pin::{check_trusted, path_in};
use purebpf_handles::{Global, Link, Map, Program};
use purebpf_insn::ProgramType;

use crate::Error;
use crate::auto_attach;
use crate::by_hand;
use crate::variables::{self, Variables};

/// A program that was loaded, and what its section said.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) program: Program,
    pub(crate) section: String,
    pub(crate) autoattach: bool,
    /// What the verifier said, if that was asked for.
    pub(crate) log: Option<Arc<str>>,
}

/// What was loaded: names to handles. Each handle lives on without it.
#[derive(Clone, Debug)]
pub struct Object {
    pub(crate) name: String,
    /// By the name in the object, with the section of internal maps as another name.
    pub(crate) maps: IndexMap<String, Map>,
    pub(crate) aliases: Vec<(String, String)>,
    pub(crate) programs: IndexMap<String, Loaded>,
    pub(crate) struct_ops: IndexMap<String, StructOps>,
    pub(crate) variables: Vec<Variables>,
    pub(crate) left_out: Arc<[(String, Error)]>,
    pub(crate) btf: Option<Arc<Btf>>,
    /// Pins that others could have made are refused.
    pub(crate) trusted_pins: bool,
}

pub(crate) fn known(names: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

impl Object {
    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A map by name; maps of variables also by their section, such as `.bss`.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a map that was not to be created.
    #[doc(alias = "bpf_object__find_map_by_name")]
    pub fn map(&self, name: &str) -> Result<Map, Error> {
        let alias = self.aliases.iter().find(|(alias, _)| alias == name);
        let found = self
            .maps
            .get(name)
            .or_else(|| alias.and_then(|(_, name)| self.maps.get(name)));
        found.cloned().ok_or_else(|| Error::NotFound {
            kind: "map",
            name: name.to_owned(),
            known: known(self.maps.keys()),
        })
    }

    /// Every map that was created, with its name.
    pub fn maps(&self) -> impl Iterator<Item = (&str, Map)> {
        self.maps
            .iter()
            .map(|(name, map)| (name.as_str(), map.clone()))
    }

    /// A program by the name of its function.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a program that was not to be loaded.
    #[doc(alias = "bpf_object__find_program_by_name")]
    pub fn program(&self, name: &str) -> Result<Program, Error> {
        self.loaded(name).map(|loaded| loaded.program.clone())
    }

    fn loaded(&self, name: &str) -> Result<&Loaded, Error> {
        self.programs.get(name).ok_or_else(|| Error::NotFound {
            kind: "program",
            name: name.to_owned(),
            known: known(self.programs.keys()),
        })
    }

    /// Every program that was loaded, with its name.
    pub fn programs(&self) -> impl Iterator<Item = (&str, Program)> {
        self.programs
            .iter()
            .map(|(name, loaded)| (name.as_str(), loaded.program.clone()))
    }

    /// The optional programs that could not be loaded, each with the reason.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.left_out
            .iter()
            .map(|(name, error)| (name.as_str(), error))
    }

    /// What the verifier said of a program whose `log_level` was not 0.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a program that was not to be loaded.
    #[doc(alias = "bpf_program__log_buf")]
    pub fn verifier_log(&self, program: &str) -> Result<Option<&str>, Error> {
        self.loaded(program).map(|loaded| loaded.log.as_deref())
    }

    /// A global variable by name, in memory that is shared with the programs (5.5): of `.data`,
    /// `.bss`, `.rodata` (which can only be read), sections of such names, or an arena.
    ///
    /// `T` is plain data as long as the variable; the programs may have changed it at any time.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a type of another size; and a map that cannot be mapped, such as one
    /// whose variables are all static.
    pub fn global<T: AnyBitPattern + NoUninit>(&self, name: &str) -> Result<Global<T>, Error> {
        let found = match &self.btf {
            Some(btf) => variables::find(&self.variables, btf, name),
            None => Err(Vec::new()),
        };
        let (place, variable) = found.map_err(|all| Error::NotFound {
            kind: "global",
            name: name.to_owned(),
            known: known(all.iter()),
        })?;
        let size = size_of::<T>();
        if usize::try_from(variable.size) != Ok(size) {
            return Err(Error::Plan(purebpf_plan::Error::Global {
                name: name.to_owned(),
                what: format!("the type has {size} bytes, the variable {}", variable.size),
            }));
        }
        let memory = self.map(&place.map)?.memory()?;
        Ok(memory.global(place.offset(&variable), name)?)
    }

    /// A struct_ops map with its value, to be attached, by the name of its variable.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for one that was not to be created.
    pub fn struct_ops(&self, name: &str) -> Result<StructOps, Error> {
        self.struct_ops
            .get(name)
            .cloned()
            .ok_or_else(|| Error::NotFound {
                kind: "struct_ops map",
                name: name.to_owned(),
                known: known(self.struct_ops.keys()),
            })
    }

    /// The object's own BTF.
    #[must_use]
    pub fn btf(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref()
    }

    /// Attaches one program to what its section says.
    ///
    /// # Errors
    /// [`Error::NoTarget`] if the section does not say it, [`Error::Attach`] if it fails.
    #[doc(alias = "bpf_program__attach")]
    pub fn attach(&self, name: &str) -> Result<Link, Error> {
        self.attach_as(name, &self.loaded(name)?.section)
    }

    /// Attaches one program as if its section were this one, which has to be of the same kind as its
    /// own: `kprobe/FUNCTION`, `usdt/BINARY:PROVIDER:NAME` and so on.
    ///
    /// # Errors
    /// [`Error::NoTarget`] if the section does not say where, [`Error::Attach`] if it fails.
    pub fn attach_as(&self, name: &str, section: &str) -> Result<Link, Error> {
        let loaded = self.loaded(name)?;
        let link = auto_attach::attach(&loaded.program, section, &self.maps);
        let link = link.map_err(|source| Error::Attach {
            program: name.to_owned(),
            source,
        })?;
        link.ok_or_else(|| Error::NoTarget {
            program: name.to_owned(),
            section: section.to_owned(),
            takes: by_hand::takes(loaded.program.program_type()),
        })
    }

    /// The section that a program was in.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&str> {
        self.programs
            .get(name)
            .map(|loaded| loaded.section.as_str())
    }

    /// Attaches every struct_ops map, and every program whose section says what to attach it to.
    /// Programs of other sections, and those with `autoattach` off, are left alone.
    ///
    /// The links are the only thing that keeps the programs attached.
    ///
    /// # Errors
    /// The first failure; what was attached until then is detached again.
    #[doc(alias = "bpf_object__attach_skeleton")]
    pub fn attach_all(&self) -> Result<Vec<Link>, Error> {
        self.attach_all_with(|_, _| Ok(None))
    }

    /// As [`Self::attach_all`], but a program is first offered to `handler`, with its section. Only
    /// what that returns `None` for is attached as usual.
    ///
    /// # Errors
    /// As [`Self::attach_all`].
    pub fn attach_all_with(
        &self,
        handler: impl Fn(&str, &Program) -> Result<Option<Link>, purebpf_handles::Error>,
    ) -> Result<Vec<Link>, Error> {
        let attached = self.attaching(handler);
        attached.filter_map(|(_, link)| link.transpose()).collect()
    }

    /// Attaches what can be attached of what [`Self::attach_all`] would, and says for each struct_ops
    /// map and program, by name, what became of it: [`Error::NoTarget`] for one whose section does
    /// not say what to attach it to.
    pub fn attach_each(&self) -> Vec<(String, Result<Link, Error>)> {
        let attached = self.attaching(|_, _| Ok(None));
        let each = attached.map(|(name, link)| {
            let missing = || self.no_target(name);
            let link = link.and_then(|link| link.ok_or_else(missing));
            (name.to_owned(), link)
        });
        each.collect()
    }

    /// Attaches one after the other, as the items are asked for. A program whose section does not
    /// say what to attach it to gives nothing.
    fn attaching<'a>(
        &'a self,
        handler: impl Fn(&str, &Program) -> Result<Option<Link>, purebpf_handles::Error> + 'a,
    ) -> impl Iterator<Item = (&'a str, Result<Option<Link>, Error>)> {
        let registered = self
            .struct_ops
            .iter()
            .map(|(name, ops)| (name.as_str(), ops.attach().map(Some)));
        let programs = self.programs.iter().filter(|(_, loaded)| loaded.autoattach);
        let attached = programs.map(move |(name, loaded)| {
            let link = match handler(&loaded.section, &loaded.program) {
                Ok(None) => auto_attach::attach(&loaded.program, &loaded.section, &self.maps),
                own => own,
            };
            (name.as_str(), link)
        });
        registered.chain(attached).map(|(name, link)| {
            let link = link.map_err(|source| Error::Attach {
                program: name.to_owned(),
                source,
            });
            (name, link)
        })
    }

    fn no_target(&self, name: &str) -> Error {
        let loaded = self.programs.get(name);
        Error::NoTarget {
            program: name.to_owned(),
            section: loaded.map_or_else(String::new, |loaded| loaded.section.clone()),
            takes: by_hand::takes(
                loaded.map_or(ProgramType::UNSPEC, |loaded| loaded.program.program_type()),
            ),
        }
    }

    /// Pins every map and every program under its name in a folder of a bpffs, which is made if it
    /// is missing. Dots in names become underscores, since a bpffs refuses them. A map that is pinned by
    /// its own definition stays where it is.
    ///
    /// [`PinnedObject::open`](purebpf_handles::PinnedObject::open) opens them again.
    ///
    /// # Errors
    /// The first failure; what was pinned until then is unpinned again, and a folder that was made is
    /// removed. A folder that others may write to, where the loader was told to trust none such.
    #[doc(alias = "bpf_object__pin")]
    pub fn pin(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        if self.trusted_pins {
            check_trusted(path_in(folder, &self.name))?;
        }
        let was_missing = matches!(folder.try_exists(), Ok(false));
        let mut undo: Vec<Box<dyn Fn()>> = Vec::new();
        let result = self.pin_each(folder, &mut undo);
        if result.is_err() {
            undo.iter().rev().for_each(|unpin| unpin());
            if was_missing {
                // Whoever has begun to use it meanwhile keeps it.
                std::fs::remove_dir(folder).ok();
            }
        }
        result
    }

    fn pin_each(&self, folder: &Path, undo: &mut Vec<Box<dyn Fn()>>) -> Result<(), Error> {
        let path = |name: &str| path_in(folder, name);
        for (name, map) in self.maps() {
            if map.pin_path().is_none() {
                map.pin(path(name))?;
                undo.push(Box::new(move || drop(map.unpin())));
            }
        }
        for (name, program) in self.programs() {
            program.pin(path(name))?;
            undo.push(Box::new(move || drop(program.unpin())));
        }
        Ok(())
    }
}
