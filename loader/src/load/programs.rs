//! Programs: fds put into instructions, loaded.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _};

use purebpf_handles::program::{AttachTo, ExtensionInfo, Reference as FdReference};
use purebpf_handles::{Map, MapAttributes, Program, ProgramAttributes, UpdateFlags};
use purebpf_insn::{Insn, MapType};
use purebpf_plan::{
    AttachPlan, Code, Feature, Info, KernelType, MapOrigin, Plan, ProgramPlan, Reference,
    TargetKernel as _,
};
use purebpf_syscall::prog_bind_map;

use super::{Session, maps, verifier};
use crate::Error;
use crate::object::Loaded;

/// The programs of a plan, in its order; a hole is one that is not to be loaded.
pub(crate) struct Programs {
    pub(crate) loaded: Vec<Option<Loaded>>,
    /// The optional ones that failed.
    pub(crate) left_out: Vec<(String, Error)>,
}

/// Loads every program that is to be loaded.
///
/// # Source
/// libbpf `bpf_object__load_progs`, `bpf_object_load_prog`.
pub(crate) fn load(
    session: &Session,
    plan: &Plan,
    maps: &[Option<Map>],
) -> Result<Programs, Error> {
    let mut programs = Programs {
        loaded: Vec::with_capacity(plan.programs.len()),
        left_out: Vec::new(),
    };
    for program in &plan.programs {
        let loaded = match program.autoload.then(|| one(session, plan, program, maps)) {
            Some(Err(error)) if program.optional => {
                programs.left_out.push((program.name.clone(), error));
                None
            }
            loaded => loaded.transpose()?,
        };
        programs.loaded.push(loaded);
    }
    Ok(programs)
}

fn one(
    session: &Session,
    plan: &Plan,
    program: &ProgramPlan,
    maps: &[Option<Map>],
) -> Result<Loaded, Error> {
    let code = program.check().map_err(Clone::clone)?;
    let attributes = attributes(session, plan, program, maps)?;
    let (handle, log) = Program::load_with_log(&attributes, program.log_level)
        .map_err(|source| verifier::rejected(session, plan, program, code, source))?;
    bind(session, plan, &handle, maps);
    Ok(Loaded {
        program: handle.holding(program_arrays(code, maps)),
        section: program.section.clone(),
        autoattach: program.autoattach,
        log: (!log.is_empty()).then(|| log.into()),
    })
}

/// The program arrays that a program calls into.
fn program_arrays(code: &Code, maps: &[Option<Map>]) -> Vec<Map> {
    let used = code.references.iter().filter_map(|it| match it.to {
        Reference::Map(map) => maps.get(map)?.as_ref(),
        _ => None,
    });
    let arrays = used.filter(|map| map.map_type() == MapType::PROG_ARRAY);
    // Most programs have none, some have one that they use in many places.
    let arrays: BTreeMap<_, _> = arrays.map(|map| (map.id(), map.clone())).collect();
    arrays.into_values().collect()
}

/// What a program is loaded with.
pub(crate) fn attributes(
    session: &Session,
    plan: &Plan,
    program: &ProgramPlan,
    maps: &[Option<Map>],
) -> Result<ProgramAttributes, Error> {
    let code = program.check().map_err(Clone::clone)?;
    let module = |name: &str| session.kernel.module(name);
    // Slot 0 of the fd array stands for the kernel itself.
    let mut references = vec![None];
    for name in &code.modules {
        references.push(Some(FdReference::Module(module(name)?)));
    }
    let tables = code.jump_tables.iter();
    let tables = tables.map(|targets| jump_table(session, targets));
    let tables = tables.collect::<Result<Vec<Map>, Error>>()?;
    let instructions = instructions(session, code, maps, &tables)?;
    // Nothing refers to the tables by slot; they are there to be open until the program is loaded.
    references.extend(tables.into_iter().map(|map| Some(FdReference::Map(map))));
    let (attach_btf_id, attach_to) = target(session, program)?;
    let has_info = session.btf.is_some();
    Ok(ProgramAttributes {
        name: program.name.clone(),
        program_type: program.program_type,
        expected_attach_type: program.expected_attach_type,
        license: plan.license.clone(),
        instructions,
        flags: program.flags,
        kernel_version: plan.kernel_version,
        btf: session.btf.clone(),
        func_info: records(code.func_info.as_ref().filter(|_| has_info)),
        line_info: records(code.line_info.as_ref().filter(|_| has_info)),
        attach_btf_id,
        attach_to,
        references: match references.len() {
            1 => Vec::new(),
            _ => references,
        },
        token: session.kernel.token().cloned(),
        ..ProgramAttributes::default()
    })
}

/// A frozen map of the instructions of a jump table (6.19).
fn jump_table(session: &Session, targets: &[u32]) -> Result<Map, Error> {
    const NAME: &str = ".jumptables";
    // Where the instruction is in the program, then three words for the kernel to fill.
    const VALUE_SIZE: u32 = 16;
    let entries = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let attributes = MapAttributes {
        token: session.kernel.token().cloned(),
        ..MapAttributes::new(MapType::INSN_ARRAY, 4, VALUE_SIZE, entries).name(NAME)
    };
    let map = Map::create(&attributes).map_err(maps::failed(NAME, "creating it"))?;
    for (index, target) in (0u32..).zip(targets) {
        let value = [*target, 0, 0, 0].map(u32::to_ne_bytes);
        map.update(&index.to_ne_bytes(), value.as_flattened(), UpdateFlags::ANY)
            .map_err(maps::failed(NAME, "filling it"))?;
    }
    map.freeze().map_err(maps::failed(NAME, "freezing it"))?;
    Ok(map)
}

/// The id of what a program is attached to, and whose it is if not the kernel's.
fn target(session: &Session, program: &ProgramPlan) -> Result<(u32, Option<AttachTo>), Error> {
    let attach_to = program.attach_to.as_ref().map_err(Clone::clone)?;
    match attach_to {
        None => Ok((0, None)),
        Some(AttachPlan::Kernel(KernelType { module: None, id })) => Ok((id.0, None)),
        Some(AttachPlan::Kernel(KernelType {
            module: Some(name),
            id,
        })) => Ok((id.0, Some(AttachTo::Module(session.kernel.module(name)?)))),
        Some(AttachPlan::Program { function }) => {
            let fail = |what: String| {
                Error::Plan(purebpf_plan::Error::Program {
                    program: program.name.clone(),
                    what,
                })
            };
            let target = session.targets.get(&program.name).ok_or_else(|| {
                fail(format!(
                    "the program whose function `{function}` it is attached to was not given to the loader"
                ))
            })?;
            let id = target
                .function_id(function)?
                .ok_or_else(|| fail(format!("{target} has no function `{function}` in its BTF")))?;
            Ok((id, Some(AttachTo::Program(target.clone()))))
        }
    }
}

fn records(info: Option<&Info>) -> ExtensionInfo {
    info.map_or_else(ExtensionInfo::default, |info| ExtensionInfo {
        record_size: info.record_size,
        records: info.records.clone(),
    })
}

/// The instructions with fds in place of names.
fn instructions(
    session: &Session,
    code: &Code,
    maps: &[Option<Map>],
    tables: &[Map],
) -> Result<Vec<Insn>, Error> {
    let mut insns = code.insns.clone();
    for reference in &code.references {
        let (at, fd) = match &reference.to {
            Reference::Map(map) => {
                // The plan refers only to maps that it creates.
                let Some(Some(map)) = maps.get(*map) else {
                    continue;
                };
                (reference.insn, map.as_fd().as_raw_fd())
            }
            Reference::JumpTable(table) => {
                let Some(table) = tables.get(*table) else {
                    continue;
                };
                (reference.insn, table.as_fd().as_raw_fd())
            }
            Reference::ModuleBtf(name) => {
                let fd = session.kernel.module(name)?.as_fd().as_raw_fd();
                (reference.insn.saturating_add(1), fd)
            }
        };
        if let Some(insn) = insns.get_mut(at) {
            insn.imm = fd;
        }
    }
    Ok(insns)
}

/// Lets the program keep the constants of the object, for whoever looks at it later.
fn bind(session: &Session, plan: &Plan, program: &Program, maps: &[Option<Map>]) {
    let constants = plan
        .maps
        .iter()
        .zip(maps)
        .filter(|(map, _)| map.origin == MapOrigin::Rodata);
    for (plan, map) in constants {
        let Some(map) = map else { continue };
        if !session.kernel.has(Feature::ProgramBindMap) {
            return;
        }
        if let Err(error) = prog_bind_map(program.as_fd(), map.as_fd()) {
            log::warn!(
                "map `{}` is not bound to `{}`: {error}",
                plan.name,
                program.name()
            );
        }
    }
}
