//! Programs: fds put into instructions, loaded.

use std::os::fd::{AsFd as _, AsRawFd as _};

use purebpf_handles::program::{AttachTo, ExtensionInfo, Reference as FdReference};
use purebpf_handles::{Map, Program, ProgramAttributes};
use purebpf_insn::Insn;
use purebpf_plan::{
    Code, Feature, Info, MapOrigin, Plan, ProgramPlan, Reference, TargetKernel as _,
};
use purebpf_syscall::prog_bind_map;

use super::{Session, verifier};
use crate::object::Loaded;
use crate::{Error, Rejection};

/// Loads every program that is to be loaded.
///
/// # Source
/// libbpf `bpf_object__load_progs`, `bpf_object_load_prog`.
pub(crate) fn load(
    session: &Session<'_>,
    plan: &Plan,
    maps: &[Option<Map>],
) -> Result<Vec<Option<Loaded>>, Error> {
    plan.programs
        .iter()
        .map(|program| match program.autoload {
            true => one(session, plan, program, maps).map(Some),
            false => Ok(None),
        })
        .collect()
}

fn one(
    session: &Session<'_>,
    plan: &Plan,
    program: &ProgramPlan,
    maps: &[Option<Map>],
) -> Result<Loaded, Error> {
    let code = program.check().map_err(Clone::clone)?;
    let attach_to = program.attach_to.as_ref().map_err(Clone::clone)?.as_ref();
    let module = |name: &str| session.kernel.module(name);
    // Slot 0 of the fd array stands for the kernel itself.
    let mut references = vec![None];
    for name in &code.modules {
        references.push(Some(FdReference::Module(module(name)?)));
    }
    let attach_module = match attach_to.and_then(|to| to.module.as_deref()) {
        Some(name) => Some(AttachTo::Module(module(name)?)),
        None => None,
    };
    let has_info = session.btf.is_some();
    let attributes = ProgramAttributes {
        name: program.name.clone(),
        program_type: program.program_type,
        expected_attach_type: program.expected_attach_type,
        license: plan.license.clone(),
        instructions: instructions(session, code, maps)?,
        flags: program.flags,
        kernel_version: plan.kernel_version,
        btf: session.btf.clone(),
        func_info: records(code.func_info.as_ref().filter(|_| has_info)),
        line_info: records(code.line_info.as_ref().filter(|_| has_info)),
        attach_btf_id: attach_to.map_or(0, |to| to.id.0),
        attach_to: attach_module,
        references: if code.modules.is_empty() {
            Vec::new()
        } else {
            references
        },
        ..ProgramAttributes::default()
    };
    let handle = Program::load(&attributes).map_err(|source| rejected(program, code, source))?;
    bind(session, plan, &handle, maps);
    Ok(Loaded {
        program: handle,
        section: program.section.clone(),
        autoattach: program.autoattach,
    })
}

fn records(info: Option<&Info>) -> ExtensionInfo {
    info.map_or_else(ExtensionInfo::default, |info| ExtensionInfo {
        record_size: info.record_size,
        records: info.records.clone(),
    })
}

/// The instructions with fds in place of names.
fn instructions(
    session: &Session<'_>,
    code: &Code,
    maps: &[Option<Map>],
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

fn rejected(program: &ProgramPlan, code: &Code, source: purebpf_handles::Error) -> Error {
    let (log, source) = match source {
        purebpf_handles::Error::Rejected { log, source, .. } => (log.into_string(), source),
        purebpf_handles::Error::Call { source, .. } => (String::new(), source),
        other => return other.into(),
    };
    let insn = verifier::stopped_at(&log);
    let rejection = Rejection {
        program: program.name.clone(),
        section: program.section.clone(),
        insn,
        line: insn.and_then(|insn| code.source_line(insn)),
        missing: verifier::missing(code, insn, &log),
        hint: verifier::hint(Some(source.errno())).filter(|_| log.is_empty()),
        log,
    };
    Error::Program {
        rejection: Box::new(rejection),
        source,
    }
}

/// Lets the program keep the constants of the object, for whoever looks at it later.
fn bind(session: &Session<'_>, plan: &Plan, program: &Program, maps: &[Option<Map>]) {
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
