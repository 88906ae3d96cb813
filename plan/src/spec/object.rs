//! `ObjectSpec`: an object as its file declares it, to be looked at, edited, planned and loaded.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use purebpf_btf::Btf;
use purebpf_elf::Bytes;

use super::code::Code;
use super::map::{MapOrigin, MapSpec, Slot};
use super::program::ProgramSpec;
use super::section::SectionDefinition;
use super::struct_ops::StructOpsSpec;
use super::{global, open};
use crate::plan::Plan;
use crate::{Error, TargetKernel, resolve};

/// How a file is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    name: Option<String>,
    pub(super) relaxed_maps: bool,
    pub(super) legacy_maps: bool,
    pub(super) sections: Vec<SectionDefinition>,
}

impl OpenOptions {
    /// The defaults: the object named after its file, map definitions read strictly.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the object, of which the names of its variables' maps are made; cut to 15 bytes.
    #[must_use]
    pub fn object_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether unknown fields of map definitions are passed over.
    #[must_use]
    pub const fn relaxed_maps(mut self, relaxed: bool) -> Self {
        self.relaxed_maps = relaxed;
        self
    }

    /// Whether sections `maps` and `maps/NAME` define maps, as they did before BTF: each a struct
    /// of 32-bit words for type, key size, value size, most elements and flags, and maybe two more
    /// for an id, which is passed over, and pinning. libbpf refuses them since 1.0.
    #[must_use]
    pub const fn legacy_maps(mut self, legacy: bool) -> Self {
        self.legacy_maps = legacy;
        self
    }

    /// Adds what the name of a section says of its programs; it wins over what is known of it.
    #[doc(alias = "libbpf_register_prog_handler")]
    #[must_use]
    pub fn section(mut self, definition: SectionDefinition) -> Self {
        self.sections.push(definition);
        self
    }

    /// Reads an object file.
    ///
    /// # Errors
    /// As [`ObjectSpec::open`].
    #[doc(alias = "bpf_object__open_file")]
    pub fn open(&self, path: impl AsRef<Path>) -> Result<ObjectSpec, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.display().to_string(),
            source: Arc::new(source),
        })?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        // As libbpf: 15 bytes of the file's name, then up to the first dot.
        let name = open::cut(&file, open::NAME_MAX);
        let name = name.split('.').next().unwrap_or_default();
        open::read(bytes.into(), self.name.as_deref().unwrap_or(name), self)
    }

    /// Reads an object from memory.
    ///
    /// # Errors
    /// As [`ObjectSpec::parse`].
    #[doc(alias = "bpf_object__open_mem")]
    pub fn parse(&self, bytes: impl Into<Bytes>) -> Result<ObjectSpec, Error> {
        open::read(bytes.into(), self.name.as_deref().unwrap_or("object"), self)
    }
}

/// An object as its file declares it; nothing of it is in a kernel.
///
/// A clone shares the file's code and copies what can be edited. It can be loaded many times, from
/// many threads.
#[derive(Clone, Debug)]
pub struct ObjectSpec {
    /// Name: 15 bytes at most.
    pub name: String,
    /// License of the programs, such as `GPL`.
    pub license: String,
    /// The kernel version in the section `version`, if there is one; used by very old kernels only.
    pub kernel_version: Option<u32>,
    /// Text in the form of a kernel `.config` that wins over that of the kernel itself.
    pub kconfig: Option<String>,
    /// BTF that CO-RE relocations are resolved against, in place of that of the kernel and its
    /// modules. Everything else is still asked of the kernel.
    #[doc(alias = "btf_custom_path")]
    pub core_btf: Option<Arc<Btf>>,
    pub(crate) maps: IndexMap<String, MapSpec>,
    pub(crate) programs: IndexMap<String, ProgramSpec>,
    pub(crate) code: Arc<Code>,
}

pub(super) fn names(known: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let names: Vec<_> = known.map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

impl ObjectSpec {
    /// Reads an object file. Its name is that of the file up to the first dot.
    ///
    /// # Errors
    /// [`Error::Read`], or what is wrong in the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        OpenOptions::new().open(path)
    }

    /// Reads an object from memory. Its name is `object`; see [`OpenOptions`].
    ///
    /// # Errors
    /// What is wrong in the file.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        OpenOptions::new().parse(bytes)
    }

    /// Every map, in the order in which they are created.
    pub fn maps(&self) -> impl Iterator<Item = &MapSpec> {
        self.maps.values()
    }

    /// Every map, to be edited.
    pub fn maps_mut(&mut self) -> impl Iterator<Item = &mut MapSpec> {
        self.maps.values_mut()
    }

    /// A map by name. Maps of variables go by their section (`.bss`) or by their name in the kernel.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    #[doc(alias = "bpf_object__find_map_by_name")]
    pub fn map(&self, name: &str) -> Result<&MapSpec, Error> {
        let index = self.map_index(name)?;
        self.maps
            .get_index(index)
            .map(|(_, map)| map)
            .ok_or_else(|| self.no_map(name))
    }

    /// A map by name, to be edited.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn map_mut(&mut self, name: &str) -> Result<&mut MapSpec, Error> {
        let index = self.map_index(name)?;
        let missing = self.no_map(name);
        self.maps
            .get_index_mut(index)
            .map(|(_, map)| map)
            .ok_or(missing)
    }

    fn no_map(&self, name: &str) -> Error {
        Error::NotFound {
            kind: "map",
            name: name.to_owned(),
            known: names(self.maps.keys()),
        }
    }

    fn map_index(&self, name: &str) -> Result<usize, Error> {
        self.maps
            .get_index_of(name)
            .or_else(|| self.maps.values().position(|map| map.is_called(name)))
            .ok_or_else(|| self.no_map(name))
    }

    /// The struct of a struct_ops map, by the name of its variable.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn struct_ops(&self, name: &str) -> Result<&StructOpsSpec, Error> {
        let ops = self.maps.get(name).and_then(|map| map.struct_ops.as_ref());
        ops.ok_or_else(|| self.no_struct_ops(name))
    }

    /// The struct of a struct_ops map, to be edited.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn struct_ops_mut(&mut self, name: &str) -> Result<&mut StructOpsSpec, Error> {
        let missing = self.no_struct_ops(name);
        let map = self.maps.get_mut(name);
        map.and_then(|map| map.struct_ops.as_mut()).ok_or(missing)
    }

    fn no_struct_ops(&self, name: &str) -> Error {
        let all = self.maps.values().filter(|map| map.struct_ops.is_some());
        Error::NotFound {
            kind: "struct_ops map",
            name: name.to_owned(),
            known: names(all.map(|map| &map.name)),
        }
    }

    /// Every program, in the order of the file.
    pub fn programs(&self) -> impl Iterator<Item = &ProgramSpec> {
        self.programs.values()
    }

    /// Every program, to be edited.
    pub fn programs_mut(&mut self) -> impl Iterator<Item = &mut ProgramSpec> {
        self.programs.values_mut()
    }

    /// A program by the name of its function.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    #[doc(alias = "bpf_object__find_program_by_name")]
    pub fn program(&self, name: &str) -> Result<&ProgramSpec, Error> {
        self.programs.get(name).ok_or_else(|| self.no_program(name))
    }

    /// A program by the name of its function, to be edited.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn program_mut(&mut self, name: &str) -> Result<&mut ProgramSpec, Error> {
        if !self.programs.contains_key(name) {
            return Err(self.no_program(name));
        }
        let missing = self.no_program(name);
        self.programs.get_mut(name).ok_or(missing)
    }

    fn no_program(&self, name: &str) -> Error {
        let known = names(self.programs.keys());
        Error::NotFound {
            kind: "program",
            name: name.to_owned(),
            known,
        }
    }

    /// Loads only these programs, and creates only the maps that they need: all others get
    /// `autoload = false` and `autocreate = false`.
    ///
    /// Maps that these maps hold come along, and so do struct_ops maps that have one of the
    /// programs as a member, with all of their programs.
    ///
    /// # Errors
    /// [`Error::NotFound`], and then nothing is changed.
    pub fn load_only<N: AsRef<str>>(
        &mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<(), Error> {
        let mut wanted = HashSet::new();
        for name in names {
            wanted.insert(self.program(name.as_ref())?.name.clone());
        }
        let maps = self.needed_maps(wanted);
        for (index, map) in self.maps.values_mut().enumerate() {
            map.autocreate = maps.contains(&index);
        }
        Ok(())
    }

    /// Sets `autoload` of all programs, and says which maps those that are loaded need.
    fn needed_maps(&mut self, mut wanted: HashSet<String>) -> HashSet<usize> {
        let mut maps = HashSet::new();
        for (index, map) in self.maps.values().enumerate() {
            let members = map.struct_ops.iter().flat_map(|ops| ops.programs.values());
            if members.clone().any(|program| wanted.contains(program)) {
                maps.insert(index);
                wanted.extend(members.cloned());
            }
        }
        let mut functions = Vec::new();
        for program in self.programs.values_mut() {
            program.autoload = wanted.contains(&program.name);
            functions.extend(program.autoload.then_some(program.function));
        }
        let needs = self.code.needs(functions);
        maps.extend(needs.maps);
        let config = |map: &MapSpec| map.origin == MapOrigin::Kconfig;
        maps.extend(self.maps.values().position(config).filter(|_| needs.config));
        let mut work: Vec<usize> = maps.iter().copied().collect();
        while let Some((_, map)) = work.pop().and_then(|index| self.maps.get_index(index)) {
            for slot in map.slots.iter().flatten() {
                let Slot::Map(name) = slot else { continue };
                let inner = self.maps.get_index_of(name);
                work.extend(inner.filter(|inner| maps.insert(*inner)));
            }
        }
        maps
    }

    /// The object's own BTF, as the kernel will get it unless it is too old for some of it.
    #[must_use]
    pub fn btf(&self) -> Option<&Arc<Btf>> {
        self.code.btf.as_ref()
    }

    /// Sets a global variable of `.data`, `.rodata` or `.bss` before loading.
    ///
    /// `value` is a plain value of exactly the variable's size, in the byte order of the object.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such variable, [`Error::Global`] if the size differs.
    pub fn set_global(&mut self, name: &str, value: impl global::Plain) -> Result<(), Error> {
        global::set(self, name, bytemuck::bytes_of(&value))
    }

    /// The bytes of a global variable as they will be loaded.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such variable.
    pub fn global(&self, name: &str) -> Result<Vec<u8>, Error> {
        global::get(self, name)
    }

    /// What exactly will be loaded into `kernel`.
    ///
    /// The failure of a single program does not fail the plan: it is in that program's
    /// own part of the plan, see [`ProgramPlan::check`](crate::ProgramPlan::check).
    ///
    /// # Errors
    /// What keeps the object as a whole from being loaded there.
    pub fn plan(&self, kernel: &dyn TargetKernel) -> Result<Plan, Error> {
        resolve::plan(self, kernel)
    }
}
