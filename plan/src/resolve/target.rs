//! The kernel function, tracepoint or hook that a program says at load it will be attached to.

use std::sync::Arc;

use purebpf_btf::{Kind, TypeId};
use purebpf_insn::{AttachType, ProgramType};

use crate::plan::{AttachPlan, KernelType};
use crate::{Error, ProgramSpec, SectionFlags, TargetKernel};

/// What the BTF entry of a target is called, by attach type: prefix and kind.
const NAMING: &[(AttachType, &str, Kind)] = &[
    (AttachType::TRACE_RAW_TP, "btf_trace_", Kind::Typedef),
    (AttachType::LSM_MAC, "bpf_lsm_", Kind::Func),
    (AttachType::LSM_CGROUP, "bpf_lsm_", Kind::Func),
    (AttachType::TRACE_ITER, "bpf_iter_", Kind::Func),
];

/// What a program asks to be attached to.
pub(crate) enum Wanted<'a> {
    Kernel(Named<'a>),
    /// A function of a program that the loader is given.
    Program(&'a str),
}

/// A function, tracepoint or hook of the kernel.
pub(crate) struct Named<'a> {
    /// The module that has it, if the program says so.
    module: Option<&'a str>,
    /// Its name in BTF.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The module whose functions a program traces many of: which ones is said when it is attached.
fn module_of_many(program: &ProgramSpec) -> Option<&str> {
    let is_of_many = matches!(
        program.expected_attach_type,
        AttachType::TRACE_FENTRY_MULTI
            | AttachType::TRACE_FEXIT_MULTI
            | AttachType::TRACE_FSESSION_MULTI
    );
    let given = program.attach_target.as_deref();
    let target = given.or(program.section_target()).filter(|_| is_of_many)?;
    target.split_once(':').map(|(module, _)| module)
}

/// What a program asks for, if its section says that it asks.
pub(super) fn wanted(program: &ProgramSpec) -> Result<Option<Wanted<'_>>, Error> {
    let is_named = program.section_flags().contains(SectionFlags::ATTACH_BTF);
    let target = match (&program.attach_target, is_named) {
        (Some(target), _) => target.as_str(),
        (None, true) => program.section_target().ok_or_else(|| Error::Program {
            program: program.name.clone(),
            what: format!(
                "section `{}` does not say what to attach to",
                program.section
            ),
        })?,
        (None, false) => return Ok(None),
    };
    if program.targets_program || program.program_type == ProgramType::EXT {
        return Ok(Some(Wanted::Program(target)));
    }
    let (module, name) = match target.split_once(':') {
        Some((module, name)) => (Some(module), name),
        None => (None, target),
    };
    let (prefix, kind) = NAMING
        .iter()
        .find(|(attach_type, ..)| *attach_type == program.expected_attach_type)
        .map_or(("", Kind::Func), |(_, prefix, kind)| (*prefix, *kind));
    Ok(Some(Wanted::Kernel(Named {
        module,
        name: format!("{prefix}{name}"),
        kind,
    })))
}

/// Finds the target of a program, if its section says that it has one.
///
/// # Source
/// libbpf `libbpf_find_attach_btf_id`.
pub(super) fn find(
    kernel: &dyn TargetKernel,
    program: &ProgramSpec,
) -> Result<Option<AttachPlan>, Error> {
    if let Some(wanted) = module_of_many(program) {
        let modules = kernel.modules()?;
        let known = modules.iter().find(|known| *known.name == *wanted);
        let known = known.ok_or_else(|| Error::Program {
            program: program.name.clone(),
            what: format!("the kernel has no module `{wanted}` with BTF"),
        })?;
        return Ok(Some(AttachPlan::Kernel(KernelType {
            module: Some(Arc::clone(&known.name)),
            id: TypeId::VOID,
        })));
    }
    let Named { module, name, kind } = match wanted(program)? {
        Some(Wanted::Kernel(named)) => named,
        Some(Wanted::Program(function)) => {
            let function = function.to_owned();
            return Ok(Some(AttachPlan::Program { function }));
        }
        None => return Ok(None),
    };
    // Prefixes of names do, as in libbpf.
    if module.is_none_or(|module| "vmlinux".starts_with(module))
        && let Some(id) = kernel.btf()?.find(&name, kind)
    {
        return Ok(Some(AttachPlan::Kernel(KernelType { module: None, id })));
    }
    for known in kernel.modules()?.iter() {
        if module.is_some_and(|module| !known.name.starts_with(module)) {
            continue;
        }
        // In what the module's BTF continues as well, as libbpf: old kernels take such a target.
        if let Some(id) = known.btf.find(&name, kind) {
            return Ok(Some(AttachPlan::Kernel(KernelType {
                module: Some(Arc::clone(&known.name)),
                id,
            })));
        }
    }
    Err(Error::Program {
        program: program.name.clone(),
        what: format!(
            "the kernel's BTF has no {} `{name}` to attach to",
            kind.name()
        ),
    })
}
