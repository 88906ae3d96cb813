//! From an [`ObjectSpec`] and a [`TargetKernel`] to a [`Plan`].
//!
//! ```text
//! externs.rs      what the kernel has of what the object expects; config.rs: its configuration
//! core.rs         CO-RE relocations, patched into instructions
//! subprograms.rs  a program and the subprograms it calls, in one piece
//! relocations.rs  maps, variables, externs, patched into that piece; poison.rs: what is missing
//! jump_tables.rs  tables of places to jump to
//! info.rs         function and line information of that piece
//! target.rs       the kernel function or type that a program is attached to
//! maps.rs         attributes of maps; struct_ops.rs: structs in the kernel's own layout
//! downgrade.rs    what older kernels need otherwise: BTF kinds, helpers; arg_ctx.rs: a tag
//! deferred.rs     as much of all this as needs no kernel, for a loader program
//! ```

mod arg_ctx;
mod config;
mod core;
pub(crate) mod deferred;
mod downgrade;
mod externs;
mod info;
mod jump_tables;
mod maps;
mod poison;
mod relocations;
mod struct_ops;
mod subprograms;
mod target;

use std::sync::Arc;

use purebpf_insn::{AttachType, ProgramFlags, ProgramType};

use crate::plan::{AttachPlan, Code, Plan, ProgramPlan};
use crate::spec::section::nearest_section;
use crate::{Error, Feature, ObjectSpec, ProgramSpec, SectionFlags, TargetKernel};

/// Everything that programs share: worked out once for the object.
struct Context<'a> {
    spec: &'a ObjectSpec,
    kernel: &'a dyn TargetKernel,
    externs: externs::Externs,
    core: core::Relocated,
    maps: Vec<crate::MapPlan>,
    roles: struct_ops::Roles,
    info: info::Index<'a>,
}

pub(crate) fn plan(spec: &ObjectSpec, kernel: &dyn TargetKernel) -> Result<Plan, Error> {
    let endian = spec.code.endian;
    if let Some(kernel) = kernel.endian().filter(|kernel| *kernel != endian) {
        let object = endian;
        return Err(Error::ByteOrder { object, kernel });
    }
    let externs = externs::resolve(spec, kernel)
        .map_err(|error| error.with_use(|name| spec.code.use_of(name)))?;
    let mut maps = maps::plan(spec, kernel, &externs)?;
    let roles = struct_ops::bind(spec, kernel, &mut maps)?;
    let core = core::relocate(spec, kernel, &roles)?;
    let context = Context {
        spec,
        kernel,
        externs,
        core,
        maps,
        roles,
        info: info::Index::new(&spec.code),
    };
    let mut programs: Vec<_> = spec
        .programs
        .values()
        .map(|program| context.program(program))
        .collect();
    let mut maps = context.maps;
    maps::exclude(spec, &mut maps, &programs)?;
    let emulated = arg_ctx::emulate(spec, kernel, &mut programs)?;
    let btf = emulated.as_ref().or(spec.btf().map(Arc::as_ref));
    Ok(Plan {
        object: spec.name.clone(),
        endian,
        license: spec.license.clone(),
        kernel_version: spec.kernel_version.unwrap_or_else(|| kernel.version()),
        btf: downgrade::btf(spec, btf, kernel)?,
        maps,
        programs,
    })
}

impl Context<'_> {
    fn program(&self, program: &ProgramSpec) -> ProgramPlan {
        let mut plan = self.attributes(program);
        if !plan.autoload {
            return plan;
        }
        plan.code = self.code(program);
        plan.attach_to = self.attach_to(program);
        if let Some(role) = self.roles.get(&program.name) {
            plan.expected_attach_type = role.attach_type;
        }
        plan
    }

    /// A program without its instructions.
    fn attributes(&self, program: &ProgramSpec) -> ProgramPlan {
        let flags = program.section_flags();
        let has = |feature| self.kernel.has(feature);
        let mut plan = ProgramPlan {
            name: program.name.clone(),
            section: program.section.clone(),
            program_type: program.program_type,
            expected_attach_type: program.expected_attach_type,
            flags: program.flags,
            log_level: program.log_level,
            autoload: self.roles.autoload(program),
            autoattach: program.autoattach,
            optional: program.optional,
            attach_to: Ok(None),
            code: Ok(Code::default()),
        };
        if flags.contains(SectionFlags::OPTIONAL_ATTACH_TYPE) && !has(Feature::ExpectedAttachType) {
            plan.expected_attach_type = AttachType(0);
        }
        if flags.contains(SectionFlags::SLEEPABLE) {
            plan.flags |= ProgramFlags::SLEEPABLE;
        }
        if flags.contains(SectionFlags::FRAGS) && program.program_type == ProgramType::XDP {
            plan.flags |= ProgramFlags::XDP_HAS_FRAGS;
        }
        if flags.contains(SectionFlags::USDT) && has(Feature::UprobeMultiLink) {
            plan.expected_attach_type = AttachType::TRACE_UPROBE_MULTI;
        }
        plan
    }

    fn code(&self, program: &ProgramSpec) -> Result<Code, Error> {
        self.patched(&self.linked(program)?)
    }

    fn linked(&self, program: &ProgramSpec) -> Result<subprograms::Linked, Error> {
        let has_exceptions =
            !self.spec.code.exceptions.is_empty() && self.kernel.has(Feature::BtfDeclTag);
        subprograms::link(
            &self.spec.code,
            &self.core,
            program.function,
            has_exceptions,
        )
    }

    fn patched(&self, linked: &subprograms::Linked) -> Result<Code, Error> {
        let mut code = relocations::apply(self, linked)?;
        if self.kernel.has(Feature::BtfFunc) {
            self.info.attach(&self.spec.code, linked, &mut code)?;
        }
        downgrade::helpers(self.kernel, &mut code.insns);
        Ok(code)
    }

    fn attach_to(&self, program: &ProgramSpec) -> Result<Option<AttachPlan>, Error> {
        self.check_type(program)?;
        match self.roles.get(&program.name) {
            Some(role) => Ok(Some(AttachPlan::Kernel(role.target.clone()))),
            None => target::find(self.kernel, program),
        }
    }

    /// Whether a program can be loaded as what it says it is.
    fn check_type(&self, program: &ProgramSpec) -> Result<(), Error> {
        let what = match program.program_type {
            ProgramType::UNSPEC => format!(
                "its section `{}` gives it no type; the nearest known is `{}`",
                program.section,
                nearest_section(&program.section)
            ),
            ProgramType::STRUCT_OPS if self.roles.get(&program.name).is_none() => {
                "no struct_ops map that is created refers to it".to_owned()
            }
            _ => return Ok(()),
        };
        Err(Error::Program {
            program: program.name.clone(),
            what,
        })
    }
}
