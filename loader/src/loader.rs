//! `Loader`: how an object is loaded.

use std::collections::HashMap;
use std::path::PathBuf;

use purebpf_handles::{Map, Program, Token};
use purebpf_plan::{ObjectSpec, Plan};

use crate::load::{Pins, Session, btf, maps, memlock, token};
use crate::prepared::Prepared;
use crate::{Error, Object, RunningKernel};

const PIN_ROOT: &str = "/sys/fs/bpf";

/// How an object is loaded. A value: it can be cloned, kept and used many times, from many threads.
#[derive(Clone, Debug)]
pub struct Loader {
    kernel: RunningKernel,
    pin_root: PathBuf,
    trusted_pins: bool,
    maps: HashMap<String, Map>,
    targets: HashMap<String, Program>,
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
    ///
    /// Where the bpffs at `/sys/fs/bpf` delegates the right to load, its token is used (6.9); this
    /// is so in containers that were set up for it, and not in the initial user name space.
    #[must_use]
    pub fn new() -> Self {
        let kernel = token::usual().map_or_else(RunningKernel::get, |token| {
            RunningKernel::with_token(&token)
        });
        Self {
            kernel,
            pin_root: PIN_ROOT.into(),
            trusted_pins: false,
            maps: HashMap::new(),
            targets: HashMap::new(),
        }
    }

    /// The folder of a bpffs where maps that ask to be pinned by name are, or will be.
    /// The default is `/sys/fs/bpf`.
    #[must_use]
    pub fn pin_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.pin_root = folder.into();
        self
    }

    /// Sets whether pins are refused that another user could have put there, or could still change:
    /// those of maps that are reused or made, and those of [`Object::pin`]. What that means is said at
    /// [`check_trusted`](purebpf_handles::pin::check_trusted), which is for pins that are opened by hand.
    #[must_use]
    pub fn trusted_pins(mut self, only: bool) -> Self {
        self.trusted_pins = only;
        self
    }

    /// Uses a map that is there already in place of the object's map of this name.
    #[doc(alias = "bpf_map__reuse_fd")]
    #[must_use]
    pub fn map(mut self, name: impl Into<String>, map: &Map) -> Self {
        self.maps.insert(name.into(), map.clone());
        self
    }

    /// Attaches the object's program of this name to a function of `target`, rather than of the
    /// kernel: what its section or its `attach_target` names is looked up in the BTF of that.
    ///
    /// This is how `freplace` programs replace a function of another program, and how fentry and
    /// fexit programs trace one (5.6). To read the BTF of `target` takes `CAP_SYS_ADMIN`.
    #[doc(alias = "bpf_program__set_attach_target")]
    #[must_use]
    pub fn target(mut self, name: impl Into<String>, target: &Program) -> Self {
        self.targets.insert(name.into(), target.clone());
        self
    }

    /// Loads with the rights that a token gives (6.9), in place of those of this process.
    #[doc(alias = "bpf_token_path")]
    #[must_use]
    pub fn token(mut self, token: &Token) -> Self {
        self.kernel = RunningKernel::with_token(token);
        self
    }

    /// Loads without a token, also where `/sys/fs/bpf` would give one.
    #[must_use]
    pub fn without_token(mut self) -> Self {
        self.kernel = RunningKernel::get();
        self
    }

    /// What would be loaded, without loading it.
    ///
    /// # Errors
    /// As [`ObjectSpec::plan`].
    pub fn plan(&self, spec: &ObjectSpec) -> Result<Plan, Error> {
        let targeted = self.targeted(spec)?;
        Ok(targeted.as_ref().unwrap_or(spec).plan(&self.kernel)?)
    }

    /// The spec with its programs told that their targets are programs, if any are.
    fn targeted(&self, spec: &ObjectSpec) -> Result<Option<ObjectSpec>, Error> {
        if self.targets.is_empty() {
            return Ok(None);
        }
        let mut spec = spec.clone();
        for name in self.targets.keys() {
            spec.program_mut(name)?.targets_program = true;
        }
        Ok(Some(spec))
    }

    /// Loads an object: its BTF, its maps, then its programs.
    ///
    /// # Errors
    /// What failed first. Nothing of the object is left in the kernel then: no map, program or pin.
    #[doc(alias = "bpf_object__load")]
    pub fn load(&self, spec: &ObjectSpec) -> Result<Object, Error> {
        self.prepare(spec)?.load()
    }

    /// Loads all of an object but its programs: plans it, loads its BTF, creates and fills its maps.
    ///
    /// # Errors
    /// As [`Self::load`].
    #[doc(alias = "bpf_object__prepare")]
    pub fn prepare(&self, spec: &ObjectSpec) -> Result<Prepared, Error> {
        let mut given = HashMap::new();
        for (name, map) in &self.maps {
            given.insert(spec.map(name)?.name.clone(), map.clone());
        }
        // Features are probed by creating maps, so the limit comes first.
        memlock::raise(&self.kernel);
        let plan = self.plan(spec)?;
        // Nothing is created for what cannot be loaded anyway.
        let required = |program: &&_| {
            let program: &purebpf_plan::ProgramPlan = program;
            program.autoload && !program.optional
        };
        for program in plan.programs.iter().filter(required) {
            program.check().map_err(Clone::clone)?;
        }
        let mut session = Session {
            kernel: self.kernel.clone(),
            pin_root: self.pin_root.clone(),
            trusted_pins: self.trusted_pins,
            given,
            targets: self.targets.clone(),
            btf: btf::load(&plan, self.kernel.token())?,
            pins: Pins::default(),
        };
        let maps = maps::create(&mut session, &plan)?;
        Ok(Prepared::new(spec, plan, session, maps))
    }
}
