//! An object resolved as far as that needs no kernel: symbols, types and attach targets are left for
//! a loader program to find.

use std::collections::HashMap;
use std::sync::Arc;

use purebpf_btf::ext::CoreRelo;
use purebpf_btf::{Btf, Kind, essential_name};
use purebpf_insn::{Endian, Insn, opcode};

use super::subprograms::Linked;
use super::target;
pub(crate) use super::target::{Named, Wanted};
use super::{Context, core, downgrade, externs, info, maps, struct_ops};
use crate::plan::{Code, InsnReference, ProgramPlan, Reference, SlotPlan};
use crate::spec::code::Target;
use crate::spec::extern_::{Extern, ExternKind, kernel_kind};
use crate::{Error, Feature, MapPlan, ModuleBtf, ObjectSpec, ProgramSpec, TargetKernel};

/// What is known of an object before any kernel is.
pub(crate) struct Deferred<'a> {
    pub(crate) btf: Option<Vec<u8>>,
    /// The maps that are created; slots and instructions name them by their position here.
    pub(crate) maps: Vec<MapPlan>,
    /// The programs that are loaded.
    pub(crate) programs: Vec<Program<'a>>,
}

/// A program as compiled, and what is still to be found for it.
pub(crate) struct Program<'a> {
    pub(crate) plan: ProgramPlan,
    /// Its instructions, in which maps are given by their position.
    pub(crate) code: Code,
    pub(crate) target: Option<Wanted<'a>>,
    /// By instruction, ascending.
    pub(crate) symbols: Vec<Symbol<'a>>,
    /// With offsets from the start of the program.
    pub(crate) core: Vec<CoreRelo>,
}

/// A symbol of the kernel that an instruction needs.
pub(crate) struct Symbol<'a> {
    pub(crate) insn: usize,
    pub(crate) name: &'a str,
    pub(crate) is_weak: bool,
    pub(crate) wants: Wants,
}

/// What an instruction needs of a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wants {
    /// Id and BTF of a function, to call it.
    Call,
    /// Id and BTF of a variable or function, to load its address.
    Typed(Kind),
    /// Its address, which no BTF knows.
    Address,
}

/// Resolves an object for the newest of kernels. `kernel` is asked for values of its configuration,
/// for its pages and CPUs, and only if the object needs them.
pub(crate) fn defer<'a>(
    spec: &'a ObjectSpec,
    kernel: &dyn TargetKernel,
) -> Result<Deferred<'a>, Error> {
    let newest = Newest(kernel);
    let externs = externs::defer(spec, &newest)?;
    let maps = maps::plan(spec, &newest, &externs)?;
    let context = Context {
        spec,
        kernel: &newest,
        externs,
        core: core::Relocated::default(),
        maps,
        roles: struct_ops::Roles::default(),
        info: info::Index::new(&spec.code),
    };
    let relocations = core_relocations(spec);
    let positions = positions(&context.maps);
    let loaded = spec.programs.values().filter(|program| program.autoload);
    let programs = loaded.map(|program| {
        let mut program = context.deferred(spec, program, &relocations)?;
        by_position(&mut program.code, &positions);
        Ok(program)
    });
    let programs = programs.collect::<Result<_, Error>>()?;
    let mut maps = context.maps;
    maps.retain(|map| map.autocreate);
    for map in &mut maps {
        // A map that is not created leaves a hole.
        map.slots.retain_mut(|(_, slot)| match slot {
            SlotPlan::Map(map) => positions
                .get(*map)
                .copied()
                .flatten()
                .map(|position| *map = position)
                .is_some(),
            SlotPlan::Program(_) => true,
        });
    }
    Ok(Deferred {
        programs,
        btf: downgrade::btf(spec, spec.btf().map(Arc::as_ref), &newest)?,
        maps,
    })
}

/// Which of the maps that are created each is.
fn positions(maps: &[MapPlan]) -> Vec<Option<usize>> {
    let mut created = 0..;
    let position = |map: &MapPlan| map.autocreate.then(|| created.next()).flatten();
    maps.iter().map(position).collect()
}

/// The CO-RE relocations of each routine, with offsets from its start.
fn core_relocations(spec: &ObjectSpec) -> HashMap<usize, Vec<CoreRelo>> {
    let code = &spec.code;
    let mut all: HashMap<usize, Vec<CoreRelo>> = HashMap::new();
    let (Some(local), Some(ext)) = (&code.btf, &code.ext) else {
        return all;
    };
    let sections = code.sections_by_name();
    for section in ext.core_relos().sections() {
        let name = local.name_at(section.section_name_off).unwrap_or_default();
        let Some(index) = sections.get(name).copied() else {
            continue;
        };
        for relo in section.iter() {
            let insn = usize::try_from(relo.insn_off / 8).unwrap_or(usize::MAX);
            let owner = code.routine_at(index, insn);
            let Some((owner, routine)) = owner.and_then(|at| Some((at, code.routines.get(at)?)))
            else {
                continue;
            };
            let insn_off = offset(insn.saturating_sub(routine.function.insn_offset));
            let relo = CoreRelo { insn_off, ..relo };
            all.entry(owner).or_default().push(relo);
        }
    }
    for relocations in all.values_mut() {
        relocations.sort_by_key(|relo| relo.insn_off);
    }
    all
}

/// Bytes before an instruction.
fn offset(insn: usize) -> u32 {
    u32::try_from(insn.saturating_mul(Insn::SIZE)).unwrap_or(u32::MAX)
}

impl Context<'_> {
    fn deferred<'a>(
        &self,
        spec: &'a ObjectSpec,
        program: &'a ProgramSpec,
        relocations: &HashMap<usize, Vec<CoreRelo>>,
    ) -> Result<Program<'a>, Error> {
        self.check_type(program)?;
        let linked = self.linked(program)?;
        Ok(Program {
            plan: self.attributes(program),
            code: self.patched(&linked)?,
            target: target::wanted(program)?,
            symbols: symbols(spec, &linked),
            core: moved(&linked, relocations),
        })
    }
}

/// Lets loads of maps name them by their position, where they wait for an fd otherwise.
fn by_position(code: &mut Code, positions: &[Option<usize>]) {
    for InsnReference { insn, to } in std::mem::take(&mut code.references) {
        if let (Some(insn), Reference::Map(map)) = (code.insns.get_mut(insn), to) {
            insn.set_src(match insn.src() {
                opcode::PSEUDO_MAP_VALUE => opcode::PSEUDO_MAP_IDX_VALUE,
                _ => opcode::PSEUDO_MAP_IDX,
            });
            // Loads of maps that are not created were replaced before.
            let position = positions.get(map).copied().flatten().unwrap_or(usize::MAX);
            insn.imm = i32::try_from(position).unwrap_or(i32::MAX);
        }
    }
}

/// What a program needs of the kernel's symbols.
fn symbols<'a>(spec: &'a ObjectSpec, linked: &Linked) -> Vec<Symbol<'a>> {
    let code = &spec.code;
    let mut symbols = Vec::new();
    for part in &linked.parts {
        let routine = code.routines.get(part.routine);
        for reloc in routine.map_or(&[][..], |routine| &routine.relocs) {
            let (index, is_call) = match reloc.target {
                Target::ExternCall(index) => (index, true),
                Target::ExternLoad(index) => (index, false),
                _ => continue,
            };
            let insn = part.start.saturating_add(reloc.insn);
            let ext = code.externs.get(index);
            symbols.extend(ext.and_then(|ext| symbol(ext, insn, is_call)));
        }
    }
    symbols
}

fn symbol(ext: &Extern, insn: usize, is_call: bool) -> Option<Symbol<'_>> {
    let wants = match (&ext.kind, kernel_kind(&ext.kind)) {
        (ExternKind::Config(_), _) => return None,
        (_, Some(_)) if is_call => Wants::Call,
        (_, Some(kind)) => Wants::Typed(kind),
        (_, None) => Wants::Address,
    };
    let name = match ext.kind {
        ExternKind::Function { .. } => essential_name(&ext.name),
        _ => &ext.name,
    };
    Some(Symbol {
        insn,
        name,
        is_weak: ext.is_weak,
        wants,
    })
}

/// The CO-RE relocations of a program: those of its parts, where these came to lie.
fn moved(linked: &Linked, relocations: &HashMap<usize, Vec<CoreRelo>>) -> Vec<CoreRelo> {
    let parts = linked.parts.iter().flat_map(|part| {
        let own = relocations.get(&part.routine);
        let start = offset(part.start);
        own.into_iter().flatten().map(move |relo| CoreRelo {
            insn_off: relo.insn_off.saturating_add(start),
            ..*relo
        })
    });
    parts.collect()
}

/// A kernel that has every feature, and whose types and symbols nobody asks for.
struct Newest<'a>(&'a dyn TargetKernel);

fn unasked<T>(what: &str) -> Result<T, Error> {
    Err(Error::Kernel {
        what: format!("{what} (a loader program looks for itself)"),
        source: None,
    })
}

impl TargetKernel for Newest<'_> {
    fn version(&self) -> u32 {
        self.0.version()
    }

    fn endian(&self) -> Option<Endian> {
        None
    }

    fn btf(&self) -> Result<Arc<Btf>, Error> {
        unasked("the BTF")
    }

    fn modules(&self) -> Result<Arc<[ModuleBtf]>, Error> {
        unasked("the modules")
    }

    fn config(&self) -> Result<Arc<str>, Error> {
        self.0.config()
    }

    fn symbols(&self) -> Result<Arc<str>, Error> {
        unasked("the symbols")
    }

    fn has(&self, _: Feature) -> bool {
        true
    }

    fn possible_cpus(&self) -> Result<u32, Error> {
        self.0.possible_cpus()
    }

    fn page_size(&self) -> u32 {
        self.0.page_size()
    }
}
