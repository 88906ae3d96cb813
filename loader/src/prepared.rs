//! `Prepared`: an object whose maps are there, and whose programs are still to be loaded.

use std::sync::Arc;

use indexmap::IndexMap;
use purebpf_btf::Btf;
use purebpf_handles::{Map, ProgramAttributes};
use purebpf_insn::MapType;
use purebpf_plan::{ObjectSpec, Plan, ProgramPlan};

use crate::load::{Session, maps, programs};
use crate::object::{Object, known};
use crate::variables::Variables;
use crate::{Error, RunningKernel};

/// The section of the variables in an arena.
const ARENA: &str = ".addr_space.1";

/// An object whose maps are there, and whose programs are still to be loaded.
///
/// Between the two, programs can be changed, or loaded by hand in more copies. Dropping it takes
/// back the pins that it made.
#[derive(Debug)]
pub struct Prepared {
    plan: Plan,
    session: Session,
    maps: Vec<Option<Map>>,
    /// Other names of maps, with the name in the plan.
    aliases: Vec<(String, String)>,
    variables: Vec<Variables>,
    btf: Option<Arc<Btf>>,
}

impl Prepared {
    pub(crate) fn new(
        spec: &ObjectSpec,
        plan: Plan,
        session: Session,
        maps: Vec<Option<Map>>,
    ) -> Self {
        let internal = spec
            .maps()
            .zip(&plan.maps)
            .filter(|(map, _)| map.origin.is_internal());
        let aliases = internal.flat_map(|(map, plan)| {
            let names = [Some(plan.kernel_name.as_str()), map.section()];
            names
                .into_iter()
                .flatten()
                .map(|alias| (alias.to_owned(), plan.name.clone()))
        });
        let aliases = aliases.collect();
        let variables = spec.maps().zip(&plan.maps).filter_map(|(map, plan)| {
            let section = match map.map_type {
                MapType::ARENA => ARENA,
                _ => map.section()?,
            };
            Some(Variables {
                section: section.to_owned(),
                map: plan.name.clone(),
                start: usize::try_from(plan.contents_offset).ok()?,
            })
        });
        Self {
            variables: variables.collect(),
            aliases,
            btf: spec.btf().cloned(),
            plan,
            session,
            maps,
        }
    }

    /// What will be loaded.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The kernel that it was planned for.
    #[must_use]
    pub const fn kernel(&self) -> &RunningKernel {
        &self.session.kernel
    }

    /// A map that was created, by name; see [`Object::map`].
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn map(&self, name: &str) -> Result<Map, Error> {
        let alias = self.aliases.iter().find(|(alias, _)| alias == name);
        let position = |name: &str| self.plan.maps.iter().position(|map| map.name == name);
        let index = position(name).or_else(|| position(&alias?.1));
        let map = index.and_then(|index| self.maps.get(index)?.as_ref());
        map.cloned().ok_or_else(|| Error::NotFound {
            kind: "map",
            name: name.to_owned(),
            known: known(self.maps.iter().flatten().map(Map::name)),
        })
    }

    /// A program as it will be loaded, to be changed: its flags, its attach type, its instructions
    /// (those that its `references` list get an fd).
    ///
    /// # Errors
    /// [`Error::NotFound`].
    #[doc(alias = "bpf_program__set_insns")]
    pub fn program_mut(&mut self, name: &str) -> Result<&mut ProgramPlan, Error> {
        let index = self.position(name)?;
        let missing = self.no_program(name);
        self.plan.programs.get_mut(index).ok_or(missing)
    }

    fn position(&self, name: &str) -> Result<usize, Error> {
        let mut programs = self.plan.programs.iter();
        programs
            .position(|program| program.name == name)
            .ok_or_else(|| self.no_program(name))
    }

    fn no_program(&self, name: &str) -> Error {
        Error::NotFound {
            kind: "program",
            name: name.to_owned(),
            known: known(self.plan.programs.iter().map(|program| &program.name)),
        }
    }

    /// What a program is loaded with, fds of the object's maps and BTF in it: to load it by hand,
    /// changed and as often as one likes, with
    /// [`Program::load`](purebpf_handles::Program::load) while this value, or the handles of the
    /// maps, live.
    ///
    /// # Errors
    /// [`Error::NotFound`], or why the program cannot be loaded as planned.
    #[doc(alias = "bpf_program__clone")]
    pub fn attributes(&self, name: &str) -> Result<ProgramAttributes, Error> {
        let index = self.position(name)?;
        let program = self.plan.programs.get(index);
        let program = program.ok_or_else(|| self.no_program(name))?;
        programs::attributes(&self.session, &self.plan, program, &self.maps)
    }

    /// Loads the programs.
    ///
    /// # Errors
    /// As [`Loader::load`](crate::Loader::load).
    pub fn load(self) -> Result<Object, Error> {
        let Self {
            plan,
            session,
            maps,
            aliases,
            variables,
            btf,
        } = self;
        let programs = programs::load(&session, &plan, &maps)?;
        maps::fill_program_slots(&plan, &maps, &programs.loaded)?;
        let struct_ops = maps::struct_ops(&plan, &maps, &programs.loaded)?;
        session.pins.keep()?;
        let trusted_pins = session.trusted_pins;
        let maps = plan.maps.iter().zip(maps);
        let loaded = plan.programs.iter().zip(programs.loaded);
        Ok(Object {
            aliases,
            variables,
            maps: maps
                .filter_map(|(plan, map)| Some((plan.name.clone(), map?)))
                .collect(),
            programs: loaded
                .filter_map(|(plan, program)| Some((plan.name.clone(), program?)))
                .collect::<IndexMap<_, _>>(),
            left_out: programs.left_out.into(),
            name: plan.object,
            struct_ops,
            btf,
            trusted_pins,
        })
    }
}
