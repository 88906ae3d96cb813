//! CO-RE relocations: what the compiler left open about the kernel's types, patched into
//! instructions.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use purebpf_btf::core::{AccessSize, Outcome, Resolution, Resolver, Spec, Targets, Tried};
use purebpf_btf::ext::CoreRelo;
use purebpf_btf::{BoxedError, Btf};
use purebpf_insn::{Insn, opcode};

use super::poison::{self, poison};
use super::struct_ops::Roles;
use crate::spec::code::{Code, Routine};
use crate::{Error, Missing, ModuleBtf, ObjectSpec, TargetKernel, TriedType};

/// How many of the types that a relocation was tried on are told.
const TOLD: usize = 8;

/// An instruction that was replaced by one that the verifier refuses.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) insn: usize,
    pub(super) missing: Missing,
}

/// A routine after relocation.
#[derive(Debug, Default)]
struct Patched {
    insns: Vec<Insn>,
    notes: Vec<Note>,
    failed: Option<Error>,
}

/// The routines that were changed, or could not be.
#[derive(Debug, Default)]
pub(super) struct Relocated {
    routines: HashMap<usize, Patched>,
}

impl Relocated {
    /// The instructions of a routine.
    pub(super) fn insns<'a>(&'a self, code: &'a Code, index: usize) -> Result<&'a [Insn], Error> {
        match self.routines.get(&index) {
            Some(Patched {
                failed: Some(error),
                ..
            }) => Err(error.clone()),
            Some(patched) => Ok(&patched.insns),
            None => Ok(code.routines.get(index).map_or(&[], |r| &r.function.insns)),
        }
    }

    /// What is missing in a routine.
    pub(super) fn poisons(&self, index: usize) -> &[Note] {
        self.routines
            .get(&index)
            .map_or(&[], |patched| &patched.notes)
    }
}

/// The target kernel; its modules are asked for when a relocation needs them.
struct Kernel<'a> {
    /// Nothing if the object brings the BTF to relocate against: then there are no modules.
    kernel: Option<&'a dyn TargetKernel>,
    btf: Arc<Btf>,
    modules: OnceLock<Result<Vec<Arc<Btf>>, Error>>,
}

impl<'a> Kernel<'a> {
    const fn new(kernel: Option<&'a dyn TargetKernel>, btf: Arc<Btf>) -> Self {
        Self {
            kernel,
            btf,
            modules: OnceLock::new(),
        }
    }

    /// The module that a type which was tried is of.
    fn module(&self, tried: &Tried) -> Option<Arc<str>> {
        let modules = self.kernel?.modules().ok()?;
        let module = modules.get(tried.target.module?)?;
        Some(Arc::clone(&module.name))
    }
}

impl Targets for Kernel<'_> {
    fn main(&self) -> &Arc<Btf> {
        &self.btf
    }

    fn modules(&self) -> Result<&[Arc<Btf>], BoxedError> {
        let read = || {
            let Some(kernel) = self.kernel else {
                return Ok(Vec::new());
            };
            let modules = kernel.modules()?;
            Ok(modules
                .iter()
                .map(|ModuleBtf { btf, .. }| Arc::clone(btf))
                .collect())
        };
        match self.modules.get_or_init(read) {
            Ok(modules) => Ok(modules),
            Err(error) => Err(error.clone().into()),
        }
    }
}

/// Applies all CO-RE relocations of what may be loaded. A failure is kept with its routine.
///
/// # Source
/// libbpf `bpf_object__relocate_core`.
pub(super) fn relocate(
    spec: &ObjectSpec,
    kernel: &dyn TargetKernel,
    roles: &Roles,
) -> Result<Relocated, Error> {
    let mut all = Relocated::default();
    let code = &spec.code;
    let (Some(local), Some(ext)) = (&code.btf, &code.ext) else {
        return Ok(all);
    };
    if ext.core_relos().is_empty() {
        return Ok(all);
    }
    let idle: Vec<usize> = spec
        .programs
        .values()
        .filter(|program| !roles.autoload(program))
        .map(|program| program.function)
        .collect();
    let sections = code.sections_by_name();
    let mut state = None;
    for section in ext.core_relos().sections() {
        let name = local.name_at(section.section_name_off).unwrap_or_default();
        if name.is_empty() {
            let what = "of a section without a name";
            return Err(Error::CoreInfo { what });
        }
        let Some(index) = sections.get(name).copied() else {
            continue;
        };
        for relo in section.iter() {
            if !relo.insn_off.is_multiple_of(8) {
                let what = "not at the beginning of an instruction";
                return Err(Error::CoreInfo { what });
            }
            let insn = usize::try_from(relo.insn_off / 8).unwrap_or(usize::MAX);
            let Some(owner) = code.routine_at(index, insn) else {
                continue;
            };
            let Some(routine) = code.routines.get(owner) else {
                continue;
            };
            if idle.binary_search(&owner).is_ok() {
                continue;
            }
            let patched = all.routines.entry(owner).or_insert_with(|| Patched {
                insns: routine.function.insns.clone(),
                ..Patched::default()
            });
            if patched.failed.is_some() {
                continue;
            }
            let resolver = state.get_or_insert_with(|| {
                let kernel = match &spec.core_btf {
                    Some(btf) => Kernel::new(None, Arc::clone(btf)),
                    None => Kernel::new(Some(kernel), kernel.btf()?),
                };
                Ok(Resolver::new(Arc::clone(local), kernel))
            });
            let at = insn.saturating_sub(routine.function.insn_offset);
            let result = match resolver {
                Ok(resolver) => apply(code, resolver, patched, routine, at, &relo),
                Err(error) => Err(Error::clone(error)),
            };
            patched.failed = result.err();
        }
    }
    Ok(all)
}

fn apply(
    code: &Code,
    resolver: &mut Resolver<Kernel<'_>>,
    patched: &mut Patched,
    routine: &Routine,
    at: usize,
    relo: &CoreRelo,
) -> Result<(), Error> {
    let error = |spec: String, what: String, source| Error::Core {
        program: routine.function.name.clone(),
        insn: at,
        spec,
        what,
        line: code.line(routine, at).map(Box::new),
        source,
    };
    let resolution = resolver.resolve(relo).map_err(|source| {
        let spec = Spec::parse(resolver.local(), relo);
        let spec = spec.map_or_else(|_| String::new(), |spec| spec.text(resolver.local()));
        error(
            spec,
            "it cannot be resolved".to_owned(),
            Some(Arc::new(source)),
        )
    })?;
    let fail = |what: String| error(resolution.spec_text.clone(), what, None);
    if !patch(&mut patched.insns, at, resolution.outcome).map_err(fail)? {
        mark(patched, at, resolver, &resolution);
    }
    Ok(())
}

/// Replaces an instruction by one that the verifier refuses.
fn mark(
    patched: &mut Patched,
    at: usize,
    resolver: &Resolver<Kernel<'_>>,
    resolution: &Resolution,
) {
    let count = match patched.insns.get(at) {
        Some(insn) if insn.is_ld_imm64() => 2,
        _ => 1,
    };
    let insns = patched.insns.iter_mut().skip(at).take(count);
    insns.for_each(|insn| *insn = poison(poison::CORE));
    let tried = resolution.tried.iter().take(TOLD);
    let missing = Missing::Core {
        spec: resolution.spec_text.clone(),
        tried: tried.map(|tried| told(resolver, tried)).collect(),
    };
    patched.notes.push(Note { insn: at, missing });
}

/// A type that was tried, as text. One that does fit has a field of a width that the instruction
/// cannot follow.
fn told(resolver: &Resolver<Kernel<'_>>, tried: &Tried) -> TriedType {
    let (ty, mismatch) = resolver.describe(tried);
    let other_width = || "the field has another width, and is no unsigned integer".to_owned();
    TriedType {
        module: resolver.targets().module(tried),
        ty,
        why: mismatch.unwrap_or_else(other_width),
    }
}

/// Writes a value into an instruction; `false` if there is none, or if the instruction would access
/// memory in another way than was meant, so that it has to be poisoned.
///
/// # Source
/// libbpf `bpf_core_patch_insn`.
fn patch(insns: &mut [Insn], at: usize, outcome: Outcome) -> Result<bool, String> {
    let insn = insns.get_mut(at).ok_or("it is outside its function")?;
    let Outcome::Value {
        orig,
        new,
        validate,
        access,
    } = outcome
    else {
        return Ok(false);
    };
    let found = |found: i64| {
        // Both sides as 64 bits: immediates and offsets are signed.
        match !validate || found.cast_unsigned() == orig {
            true => Ok(()),
            false => Err(format!("the instruction holds {found}, expected {orig}")),
        }
    };
    match insn.class() {
        opcode::ALU | opcode::ALU64 => {
            if opcode::source(insn.code) != opcode::K {
                return Err("the instruction has no immediate".to_owned());
            }
            found(insn.imm.into())?;
            insn.imm = low(new);
        }
        opcode::LDX | opcode::ST | opcode::STX => {
            found(insn.off.into())?;
            let off = i16::try_from(new).map_err(|_| format!("{new} does not fit an offset"))?;
            let size = match access {
                AccessSize::Keep => opcode::size(insn.code),
                AccessSize::Change { from, to } => resized(*insn, from, to)?,
                AccessSize::Mismatch { .. } => return Ok(false),
            };
            insn.off = off;
            insn.code = opcode::mode(insn.code) | size | insn.class();
        }
        opcode::LD => {
            let end = at.checked_add(2).ok_or("it is outside its function")?;
            let [first, second] = insns.get_mut(at..end).unwrap_or_default() else {
                return Err("a 64-bit load lacks its second half".to_owned());
            };
            let is_clean = first.is_ld_imm64()
                && first.src() == 0
                && first.off == 0
                && *second == Insn::new(0, 0, 0, 0, second.imm);
            if !is_clean {
                return Err("the instruction is not a plain 64-bit load".to_owned());
            }
            let high = u64::from(second.imm.cast_unsigned()) << 32;
            found((high | u64::from(first.imm.cast_unsigned())).cast_signed())?;
            first.imm = low(new);
            second.imm = low(new >> 32);
        }
        _ => return Err(format!("opcode {:#04x} cannot hold a value", insn.code)),
    }
    Ok(true)
}

/// The size bits of a load or store that accesses a field of another width now.
fn resized(insn: Insn, from: u32, to: u32) -> Result<u8, String> {
    let size = u32::from(opcode::size_bytes(insn.code));
    if size != from {
        return Err(format!(
            "the instruction accesses {size} bytes, the field has {from}"
        ));
    }
    opcode::size_of_bytes(to).ok_or_else(|| format!("the field has {to} bytes now"))
}

/// The low half of a value, as an immediate.
fn low(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}
