//! Loader programs: run, and what they leave taken over.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use indexmap::IndexMap;
use purebpf_handles::program::Reference;
use purebpf_handles::{CallError, Map, MapAttributes, Program, ProgramAttributes, UpdateFlags};
use purebpf_insn::{Endian, MapType, ProgramFlags, ProgramType};
use purebpf_plan::light::{ContextLayout, LightLoader};
use purebpf_syscall::{LoaderRun, prog_run_loader};

use crate::object::Loaded;
use crate::{Error, Object};

/// Room for the kernel's log: as much as a kernel before 6.4 takes.
const LOG: usize = (16 << 20) - 1;

/// What may be said of an object at the time when its loader program is run.
#[derive(Clone, Debug, Default)]
#[doc(alias = "bpf_map_desc")]
pub struct LightOptions {
    max_entries: Vec<(String, u32)>,
    values: Vec<(String, Vec<u8>)>,
    trusted_pins: bool,
}

impl LightOptions {
    /// The object as its file declares it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries a map is to have; 0 for as many as it declares.
    #[must_use]
    pub fn max_entries(mut self, map: impl Into<String>, entries: u32) -> Self {
        self.max_entries.push((map.into(), entries));
        self
    }

    /// The value of a map of variables, by its name or section, such as `.rodata`; as long as the
    /// map's value.
    #[must_use]
    pub fn value(mut self, map: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.values.push((map.into(), value.into()));
        self
    }

    /// Sets whether [`Object::pin`] refuses folders that another user could change, as
    /// [`Loader::trusted_pins`](crate::Loader::trusted_pins). A loader program itself neither pins nor
    /// reuses maps.
    #[must_use]
    pub const fn trusted_pins(mut self, only: bool) -> Self {
        self.trusted_pins = only;
        self
    }
}

/// Loads an object by its loader program (5.14; 5.17 for objects with CO-RE relocations). Needs the
/// rights `CAP_BPF` and `CAP_PERFMON`, and what the programs of the object need.
///
/// # Errors
/// [`Error::Light`] with the kernel's log if the program says that something cannot be loaded;
/// [`Error::NotFound`] for options of maps that there are not; what the kernel says of the loader
/// program itself. No fd stays open then.
#[doc(alias = "bpf_load_and_run")]
pub fn run(loader: &LightLoader, options: &LightOptions) -> Result<Object, Error> {
    if !loader.endian.is_host() {
        return Err(Error::Plan(purebpf_plan::Error::ByteOrder {
            object: loader.endian,
            kernel: Endian::HOST,
        }));
    }
    let request = Request::new(loader, options)?;
    let program = load(loader)?;
    // The log is asked for only after a failure: to write it takes time.
    let fds = request.run(&program, None).or_else(|source| {
        let mut log = vec![0; LOG];
        request.run(&program, Some(&mut log)).map_err(|_| {
            let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
            Error::Light {
                object: loader.name.clone(),
                log: String::from_utf8_lossy(text).into_owned(),
                source,
            }
        })
    })?;
    object(loader, options, fds)
}

/// The loader program, with its data in a map that user space cannot change any more.
fn load(loader: &LightLoader) -> Result<Program, Error> {
    let len = u32::try_from(loader.data.len()).unwrap_or(u32::MAX);
    let data = Map::create(&MapAttributes {
        name: "__loader.map".to_owned(),
        ..MapAttributes::new(MapType::ARRAY, 4, len, 1)
    })?;
    data.update(&0u32.to_ne_bytes(), &loader.data, UpdateFlags::ANY)?;
    data.freeze()?;
    let program = Program::load(&ProgramAttributes {
        name: "__loader.prog".to_owned(),
        program_type: ProgramType::SYSCALL,
        license: "Dual BSD/GPL".to_owned(),
        instructions: loader.insns.clone(),
        flags: ProgramFlags::SLEEPABLE,
        references: vec![Some(Reference::Map(data))],
        ..ProgramAttributes::default()
    })?;
    Ok(program)
}

/// The context of a run, and where in it fds are left: of maps, then of programs.
struct Request<'a> {
    context: Vec<u8>,
    inputs: Vec<(usize, &'a [u8])>,
    fds: Vec<usize>,
}

impl<'a> Request<'a> {
    fn new(loader: &LightLoader, options: &'a LightOptions) -> Result<Self, Error> {
        let layout = loader.layout();
        let mut context = vec![0; layout.bytes()];
        let size = u32::try_from(layout.bytes()).unwrap_or(u32::MAX);
        put(&mut context, ContextLayout::SIZE, size);
        for (name, entries) in &options.max_entries {
            put(
                &mut context,
                layout.max_entries(find(loader, name)?),
                *entries,
            );
        }
        let mut inputs = Vec::new();
        for (name, value) in &options.values {
            let index = find(loader, name)?;
            let expected = loader.maps.get(index).map_or(0, |map| map.value_size);
            if u32::try_from(value.len()) != Ok(expected) {
                return Err(Error::Plan(purebpf_plan::Error::Map {
                    map: name.clone(),
                    what: format!("its value has {expected} bytes, not {}", value.len()),
                }));
            }
            inputs.push((layout.initial_value(index), value.as_slice()));
        }
        let maps = (0..loader.maps.len()).map(|index| layout.map_fd(index));
        let programs = (0..loader.programs.len()).map(|index| layout.program_fd(index));
        Ok(Self {
            context,
            inputs,
            fds: maps.chain(programs).collect(),
        })
    }

    fn run(&self, program: &Program, log: Option<&mut [u8]>) -> Result<Vec<OwnedFd>, CallError> {
        let mut context = self.context.clone();
        if let Some(log) = &log {
            put(&mut context, ContextLayout::LOG_LEVEL, 1);
            let size = u32::try_from(log.len()).unwrap_or(u32::MAX);
            put(&mut context, ContextLayout::LOG_SIZE, size);
        }
        let params = LoaderRun {
            context: &mut context,
            inputs: &self.inputs,
            log: log.map(|log| (ContextLayout::LOG_BUFFER, log)),
            fds: &self.fds,
        };
        prog_run_loader(program.as_fd(), params)
    }
}

fn put(context: &mut [u8], field: usize, value: u32) {
    let place = context.get_mut(field..field.saturating_add(4));
    if let Some(place) = place {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}

/// A map by its name, or by its section.
fn find(loader: &LightLoader, name: &str) -> Result<usize, Error> {
    let mut maps = loader.maps.iter();
    let found = maps.position(|map| map.name == name || map.section.as_deref() == Some(name));
    found.ok_or_else(|| Error::NotFound {
        kind: "map",
        name: name.to_owned(),
        known: crate::object::known(loader.maps.iter().map(|map| &map.name)),
    })
}

/// Handles by name, as an object that was loaded otherwise has them.
fn object(
    loader: &LightLoader,
    options: &LightOptions,
    fds: Vec<OwnedFd>,
) -> Result<Object, Error> {
    let mut fds = fds.into_iter();
    let mut maps = IndexMap::new();
    let mut aliases = Vec::new();
    for (map, fd) in loader.maps.iter().zip(fds.by_ref()) {
        let handle = Map::from_fd(fd)?;
        if let Some(section) = &map.section {
            aliases.push((handle.name().to_owned(), map.name.clone()));
            aliases.push((section.clone(), map.name.clone()));
        }
        maps.insert(map.name.clone(), handle.with_name(&map.name));
    }
    let mut programs = IndexMap::new();
    for (program, fd) in loader.programs.iter().zip(fds) {
        let handle = Program::from_fd(fd)?
            .with_name(&program.name)
            .with_expected_attach_type(program.attach_type);
        let loaded = Loaded {
            program: handle,
            section: program.section.clone(),
            autoattach: program.autoattach,
            log: None,
        };
        programs.insert(program.name.clone(), loaded);
    }
    Ok(Object {
        // A loader program comes without the BTF that would tell of them.
        variables: Vec::new(),
        name: loader.name.clone(),
        maps,
        aliases,
        programs,
        struct_ops: IndexMap::new(),
        left_out: Arc::new([]),
        btf: None,
        trusted_pins: options.trusted_pins,
    })
}
