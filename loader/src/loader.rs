//! `Loader`: how an object is loaded, and in which order.

use std::collections::HashMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use purebpf_handles::attach::StructOps;
use purebpf_handles::{BtfObject, Map};
use purebpf_plan::{MapOrigin, ObjectSpec, Plan};

use crate::load::{Session, maps, memlock, programs};
use crate::object::{Loaded, Object};
use crate::{Error, RunningKernel};

const PIN_ROOT: &str = "/sys/fs/bpf";

/// How an object is loaded. A value: it can be cloned, kept and used many times, from many threads.
#[derive(Clone, Debug)]
pub struct Loader {
    kernel: RunningKernel,
    pin_root: PathBuf,
    maps: HashMap<String, Map>,
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

/// Loads an object with the defaults: `Loader::new().load(spec)`.
///
/// # Errors
/// As [`Loader::load`].
pub fn load(spec: &ObjectSpec) -> Result<Object, Error> {
    Loader::new().load(spec)
}

impl Loader {
    /// A loader for the running kernel, which keeps what it learns of that.
    #[must_use]
    pub fn new() -> Self {
        Self {
            kernel: RunningKernel::get(),
            pin_root: PIN_ROOT.into(),
            maps: HashMap::new(),
        }
    }

    /// The folder of a bpffs where maps that ask to be pinned by name are, or will be.
    /// The default is `/sys/fs/bpf`.
    #[must_use]
    pub fn pin_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.pin_root = folder.into();
        self
    }

    /// Uses a map that is there already in place of the object's map of this name.
    #[doc(alias = "bpf_map__reuse_fd")]
    #[must_use]
    pub fn map(mut self, name: impl Into<String>, map: &Map) -> Self {
        self.maps.insert(name.into(), map.clone());
        self
    }

    /// What would be loaded, without loading it.
    ///
    /// # Errors
    /// As [`ObjectSpec::plan`].
    pub fn plan(&self, spec: &ObjectSpec) -> Result<Plan, Error> {
        Ok(spec.plan(&self.kernel)?)
    }

    /// Loads an object: its BTF, its maps, then its programs.
    ///
    /// # Errors
    /// What failed first. Nothing of the object is left in the kernel then: no map, program or pin.
    #[doc(alias = "bpf_object__load")]
    pub fn load(&self, spec: &ObjectSpec) -> Result<Object, Error> {
        let mut given = HashMap::new();
        for (name, map) in &self.maps {
            given.insert(spec.map(name)?.name.clone(), map.clone());
        }
        // Features are probed by creating maps, so the limit comes first.
        memlock::raise(&self.kernel);
        let plan = self.plan(spec)?;
        // Nothing is created for what cannot be loaded anyway.
        for program in plan.programs.iter().filter(|program| program.autoload) {
            program.check().map_err(Clone::clone)?;
        }
        let mut session = Session {
            kernel: &self.kernel,
            pin_root: &self.pin_root,
            given: &given,
            btf: load_btf(&plan)?,
            pinned: Vec::new(),
        };
        match session.load(&plan) {
            Ok(handles) => Ok(object(spec, &plan, handles)),
            Err(error) => {
                session.unpin();
                Err(error)
            }
        }
    }
}

/// The object's BTF in the kernel. Only struct_ops cannot do without.
fn load_btf(plan: &Plan) -> Result<Option<BtfObject>, Error> {
    let Some(bytes) = plan.btf.as_deref() else {
        return Ok(None);
    };
    let source = match BtfObject::load(bytes, None) {
        Ok(btf) => return Ok(Some(btf)),
        Err(error) => error,
    };
    if !plan
        .maps
        .iter()
        .any(|map| map.origin == MapOrigin::StructOps)
    {
        let name = &plan.object;
        log::info!("object `{name}` is loaded without its BTF: {source}");
        return Ok(None);
    }
    let log = match &source {
        purebpf_handles::Error::Rejected { log, .. } => log.to_string(),
        _ => String::new(),
    };
    Err(Error::Btf {
        object: plan.object.clone(),
        log,
        source,
    })
}

/// Maps and programs, in the order of the plan; a hole is one that is not to be loaded.
struct Handles {
    maps: Vec<Option<Map>>,
    programs: Vec<Option<Loaded>>,
    struct_ops: IndexMap<String, StructOps>,
}

impl Session<'_> {
    fn load(&mut self, plan: &Plan) -> Result<Handles, Error> {
        let maps = maps::create(self, plan)?;
        let programs = programs::load(self, plan, &maps)?;
        maps::fill_program_slots(plan, &maps, &programs)?;
        let struct_ops = maps::struct_ops(plan, &maps, &programs)?;
        Ok(Handles {
            maps,
            programs,
            struct_ops,
        })
    }
}

fn object(spec: &ObjectSpec, plan: &Plan, handles: Handles) -> Object {
    let aliases = spec
        .maps()
        .zip(&plan.maps)
        .filter(|(map, _)| map.origin.is_internal());
    let aliases = aliases.flat_map(|(map, plan)| {
        let names = [Some(plan.kernel_name.as_str()), map.section()];
        names
            .into_iter()
            .flatten()
            .map(|alias| (alias.to_owned(), plan.name.clone()))
    });
    let maps = plan.maps.iter().zip(handles.maps);
    let programs = plan.programs.iter().zip(handles.programs);
    Object {
        name: plan.object.clone(),
        aliases: aliases.collect(),
        maps: maps
            .filter_map(|(plan, map)| Some((plan.name.clone(), map?)))
            .collect(),
        programs: programs
            .filter_map(|(plan, program)| Some((plan.name.clone(), program?)))
            .collect::<IndexMap<_, _>>(),
        struct_ops: handles.struct_ops,
        btf: spec.btf().cloned(),
    }
}
