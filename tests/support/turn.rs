//! All that is done with one object, over and over: load, attach, pin, open what is pinned, detach,
//! unpin.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};

use purebpf::attach::{Cgroup, RawTracepoint, Tc, TcParent, Xdp};
use purebpf::handles::PinnedObject;
use purebpf::plan::PinPolicy;
use purebpf::{Link, Loader, Object, ObjectSpec, Program, ProgramType};

type Failure = Box<dyn Error>;

/// A tracepoint with as many arguments as the one that every system call passes, and quiet.
const QUIET: &str = "task_rename";

/// An object, and what of it can be done at all.
pub(crate) struct Job {
    object: PathBuf,
    root: PathBuf,
    group: PathBuf,
    part: Part,
    /// Programs that this kernel does not load, and those that it does not attach.
    refused: Vec<String>,
    unattached: Vec<String>,
    /// Which of those that are attached can be pinned: what hangs on a perf event or a device cannot.
    links: Vec<bool>,
}

/// What of an object is done in a turn: it takes tens of milliseconds until the kernel lets go of what
/// was attached.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Which of its programs are loaded.
    pub(crate) programs: Range<usize>,
    /// The calls that are looked at are those of attaching, pinning links and detaching, and otherwise
    /// those of loading, pinning, opening what is pinned and unpinning, with nothing attached.
    pub(crate) attaches: bool,
}

/// What became of one turn: what was there in the end, if it came so far, and what failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) there: Option<String>,
    pub(crate) failed: Vec<String>,
}

/// An error with all that is behind it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ").replace('\n', " | ")
}

impl Job {
    /// Pins below `root`, attaches to the cgroup `group`.
    pub(crate) fn new(object: PathBuf, root: PathBuf, group: PathBuf, part: Part) -> Self {
        let mut job = Self {
            object,
            root,
            group,
            part,
            refused: Vec::new(),
            unattached: Vec::new(),
            links: Vec::new(),
        };
        let Ok(spec) = job.spec() else { return job };
        // Attaching a scheduler stops the machine for a moment, each time.
        let is_scheduler = spec.maps().any(|map| {
            let ops = spec.struct_ops(&map.name);
            ops.is_ok_and(|ops| ops.type_name() == "sched_ext_ops")
        });
        let is_loaded = |spec: &ObjectSpec| Loader::new().pin_root(&job.root).load(spec).is_ok();
        if !is_loaded(&spec) {
            let alone = |name: &String| {
                let mut spec = spec.clone();
                spec.load_only([name]).unwrap();
                is_loaded(&spec)
            };
            let programs = spec.programs().filter(|program| program.autoload);
            let names = programs.map(|program| program.name.clone());
            let (loaded, refused): (Vec<_>, _) = names.partition(alone);
            // Without any that is loaded there is the refusal of them all.
            if !loaded.is_empty() {
                job.refused = refused;
            }
        }
        job.sweep();
        if !is_scheduler && let Ok(object) = job.load() {
            let mut links: Vec<_> = job.registered(&object).collect();
            for (name, program) in object.programs() {
                let section = object.section(name).unwrap();
                let link = match job.by_hand(section, &program) {
                    Ok(None) => object.attach(name).map_err(Failure::from),
                    link => link.map(Option::unwrap).map_err(Failure::from),
                };
                match link {
                    Ok(link) => links.push(link),
                    Err(_) => job.unattached.push(name.to_owned()),
                }
            }
            drop((links, object));
            if let Ok(links) = job.load().and_then(|object| Ok(job.attach_all(&object)?)) {
                let path = job.root.join("link");
                let can_be_pinned =
                    |link: &Link| link.pin(&path).and_then(|()| link.unpin()).is_ok();
                job.links = links.iter().map(can_be_pinned).collect();
            }
        }
        job.sweep();
        job
    }

    /// Links of the structs of functions.
    fn registered(&self, object: &Object) -> impl Iterator<Item = Link> {
        let names = object.maps().map(|(name, _)| name.to_owned());
        let ops: Vec<_> = names
            .filter_map(|name| object.struct_ops(&name).ok())
            .collect();
        ops.into_iter().filter_map(|ops| ops.attach().ok())
    }

    fn spec(&self) -> Result<ObjectSpec, Failure> {
        let mut spec = ObjectSpec::open(&self.object)?;
        let policies = [PinPolicy::ReuseOrCreate, PinPolicy::Replace];
        let maps = spec.maps_mut().filter(|map| !map.origin.is_internal());
        for (map, policy) in maps.zip(policies) {
            map.pin_path = Some(self.root.join(&map.name));
            map.pin_policy = policy;
        }
        let names: Vec<_> = spec.maps().map(|map| map.name.clone()).collect();
        for (index, name) in names.iter().enumerate() {
            let Ok(ops) = spec.struct_ops_mut(name) else {
                continue;
            };
            if ops.type_name() == "tcp_congestion_ops" {
                // Others register the same at the same time.
                let mut name = [0; 16];
                let text = format!("f{}_{index}", std::process::id());
                name[..text.len()].copy_from_slice(text.as_bytes());
                ops.set("name", name)?;
            }
        }
        for (index, program) in spec.programs_mut().enumerate() {
            program.autoload &=
                self.part.programs.contains(&index) && !self.refused.contains(&program.name);
            program.autoattach = !self.unattached.contains(&program.name);
        }
        Ok(spec)
    }

    fn load(&self) -> Result<Object, Failure> {
        Ok(Loader::new().pin_root(&self.root).load(&self.spec()?)?)
    }

    /// Attaches what no section says where to attach to, by netlink or in a cgroup; and quietly what
    /// would run at every system call of the machine.
    fn by_hand(
        &self,
        section: &str,
        program: &Program,
    ) -> Result<Option<Link>, purebpf::handles::Error> {
        /// That of the loopback device, in each network name space.
        const LOOPBACK: u32 = 1;
        match program.program_type() {
            ProgramType::XDP => program.attach(Xdp::new(LOOPBACK).without_link()),
            ProgramType::SCHED_CLS => program.attach(Tc::new(LOOPBACK, TcParent::Ingress)),
            ProgramType::CGROUP_SKB | ProgramType::CGROUP_SOCK => {
                program.attach(Cgroup::new(&self.group))
            }
            ProgramType::RAW_TRACEPOINT if section.ends_with("/sys_enter") => {
                program.attach(RawTracepoint::new(QUIET))
            }
            _ => return Ok(None),
        }
        .map(Some)
    }

    /// Takes away whatever is pinned.
    pub(crate) fn sweep(&self) {
        let folder = self.folder();
        for folder in [&folder, &self.root] {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                std::fs::remove_file(entry.unwrap().path()).ok();
            }
        }
        std::fs::remove_dir(&folder).ok();
    }

    fn folder(&self) -> PathBuf {
        self.root.join("object")
    }

    /// All of it once; `mark` is called before and after the calls that are looked at.
    pub(crate) fn turn(&self, mark: impl Fn()) -> Outcome {
        let mut failed = Vec::new();
        let (object, done) = match self.part.attaches {
            true => {
                let object = self.load();
                mark();
                let done = object
                    .as_ref()
                    .map(|object| self.attach(object, &mut failed));
                let done = done.unwrap_or(Ok(0));
                mark();
                if let Ok(object) = &object {
                    self.unpin_maps(object, &mut failed);
                }
                (object, done)
            }
            false => {
                mark();
                let object = self.load();
                let done = object.as_ref().map(|object| {
                    let done = self.pin(object, &mut failed);
                    self.unpin_maps(object, &mut failed);
                    done
                });
                let done = done.unwrap_or(Ok(0));
                mark();
                (object, done)
            }
        };
        let there = object.and_then(|object| Ok(describe(&object, done?)));
        let there = there.inspect_err(|error| failed.push(chain(&**error))).ok();
        Outcome { there, failed }
    }

    fn attach_all(&self, object: &Object) -> Result<Vec<Link>, purebpf::Error> {
        object.attach_all_with(|section, program| self.by_hand(section, program))
    }

    /// How many links there were, each of which was pinned for a moment if it can be.
    fn attach(&self, object: &Object, failed: &mut Vec<String>) -> Result<usize, Failure> {
        let links = self.attach_all(object)?;
        let path = self.root.join("link");
        let pinned = links.iter().zip(&self.links).filter(|(_, can)| **can);
        for (link, _) in pinned {
            link.pin(&path)?;
            // What is pinned is the same link, whoever opens it.
            let mut opened = None;
            twice(failed, || {
                opened = Some(Link::from_pin(&path)?);
                Ok(())
            });
            twice(failed, || opened.as_ref().unwrap().unpin());
        }
        // Some are detached by being dropped.
        for link in links.iter().skip(1).step_by(2) {
            twice(failed, || link.detach());
        }
        Ok(links.len())
    }

    fn pin(&self, object: &Object, failed: &mut Vec<String>) -> Result<usize, Failure> {
        object.pin(self.folder())?;
        let mut pinned = None;
        twice(failed, || {
            pinned = Some(PinnedObject::open(self.folder())?);
            Ok(())
        });
        twice(failed, || pinned.as_ref().unwrap().unpin());
        Ok(0)
    }

    /// What the load pinned stays until somebody says otherwise.
    fn unpin_maps(&self, object: &Object, failed: &mut Vec<String>) {
        let is_own = |path: PathBuf| path.parent() == Some(&self.root);
        let maps = object.maps().map(|(_, map)| map);
        for map in maps.filter(|map| map.pin_path().is_some_and(is_own)) {
            twice(failed, || map.unpin());
        }
    }

    /// How many programs and struct_ops maps can be attached.
    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// Where all of it pins.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// Does what ends something; if that fails, once more, as whoever is told of it would.
fn twice(failed: &mut Vec<String>, mut work: impl FnMut() -> Result<(), purebpf::handles::Error>) {
    if let Err(error) = work() {
        failed.push(chain(&error));
        work().unwrap();
    }
}

/// What was loaded, with all that a load could go without.
fn describe(object: &Object, links: usize) -> String {
    let mut lines = vec![format!("{links} links")];
    for (name, map) in object.maps() {
        let has_btf = map.info().unwrap().btf_id != 0;
        let (map_type, flags) = (map.map_type(), map.flags());
        lines.push(format!("map {name}: {map_type}, {flags:?}, BTF {has_btf}"));
    }
    for (name, program) in object.programs() {
        let info = program.info().unwrap();
        let (tag, has_btf, maps) = (info.tag, info.btf_id != 0, info.map_count);
        lines.push(format!(
            "program {name}: {tag:x?}, BTF {has_btf}, {maps} maps"
        ));
    }
    lines.join("; ")
}
