//! What functions call, and what they need of the object for it.

use std::collections::{HashMap, HashSet};

use purebpf_btf::{Btf, Kind, Linkage, TypeKind};
use purebpf_elf::Binding;
use purebpf_insn::{Insn, opcode};

use super::code::{Code, Routine, Target};
use super::extern_::ExternKind;
use crate::Error;

/// What a program's tag says of the function that handles its exceptions.
#[derive(Clone, Debug)]
pub(crate) enum ExceptionCallback {
    /// The function of this name.
    Named(String),
    /// Two of them; then the program has none, and the verifier will say so.
    Ambiguous,
    /// The tag is on a function that is not global.
    NotGlobal,
}

/// The tags `exception_callback:NAME` of all functions, by the name of the function.
///
/// # Source
/// libbpf `bpf_prog_assign_exc_cb`.
pub(crate) fn exceptions(btf: &Btf) -> HashMap<String, ExceptionCallback> {
    let mut all = HashMap::new();
    for tag in btf.own_of(Kind::DeclTag) {
        let TypeKind::DeclTag { ty, component: -1 } = tag.kind else {
            continue;
        };
        let tag = btf
            .name_at(tag.name_off)
            .ok()
            .and_then(|tag| tag.strip_prefix("exception_callback:"));
        let (Some(callback), Ok(name)) = (tag, btf.name(ty)) else {
            continue;
        };
        let Ok(TypeKind::Func { linkage, .. }) = btf.ty(ty).map(|ty| ty.kind) else {
            continue;
        };
        let callback = match linkage {
            Linkage::GLOBAL => ExceptionCallback::Named(callback.to_owned()),
            _ => ExceptionCallback::NotGlobal,
        };
        all.entry(name.to_owned())
            .and_modify(|known| *known = ExceptionCallback::Ambiguous)
            .or_insert(callback);
    }
    all
}

/// What functions refer to.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Maps, by position.
    pub(crate) maps: HashSet<usize>,
    /// Whether the value of a configuration is read.
    pub(crate) config: bool,
}

impl Code {
    /// What some functions, and all that they call, refer to. A call that leads nowhere is for the
    /// resolver to complain of.
    pub(crate) fn needs(&self, functions: impl IntoIterator<Item = usize>) -> Needs {
        let mut needs = Needs::default();
        let mut seen = HashSet::new();
        let mut work: Vec<usize> = functions.into_iter().collect();
        while let Some(index) = work.pop() {
            let Some(routine) = self.routines.get(index).filter(|_| seen.insert(index)) else {
                continue;
            };
            for reloc in &routine.relocs {
                match reloc.target {
                    Target::Map(map) | Target::Data { map, .. } => {
                        needs.maps.insert(map);
                    }
                    Target::ExternLoad(ext) => {
                        let kind = self.externs.get(ext).map(|ext| &ext.kind);
                        needs.config |= matches!(kind, Some(ExternKind::Config(_)));
                    }
                    Target::ExternCall(_)
                    | Target::Call { .. }
                    | Target::Subprogram { .. }
                    | Target::JumpTable { .. } => {}
                }
            }
            let insns = routine.function.insns.iter().enumerate();
            work.extend(insns.filter_map(|(at, insn)| self.callee(routine, at, *insn).ok()?));
            work.extend(self.exception_callback(index).ok().flatten());
        }
        needs
    }

    /// The subprogram that handles the exceptions of a program, if it has one.
    pub(crate) fn exception_callback(&self, program: usize) -> Result<Option<usize>, Error> {
        let Some(program) = self.routines.get(program) else {
            return Ok(None);
        };
        let fail = |what: String| Error::Program {
            program: program.function.name.clone(),
            what,
        };
        let name = match self.exceptions.get(&program.function.name) {
            None | Some(ExceptionCallback::Ambiguous) => return Ok(None),
            Some(ExceptionCallback::NotGlobal) => {
                return Err(fail(
                    "its exception callback is tagged on a static function".to_owned(),
                ));
            }
            Some(ExceptionCallback::Named(name)) => name,
        };
        let is_named =
            |routine: &Routine| self.is_subprogram(routine) && routine.function.name == *name;
        let index = self.routines.iter().position(is_named).ok_or_else(|| {
            fail(format!(
                "its exception callback `{name}` is no function of `.text`"
            ))
        })?;
        let is_visible = self.routines.get(index).is_some_and(|routine| {
            routine.function.binding != Binding::Local && !routine.function.hidden
        });
        match is_visible {
            true => Ok(Some(index)),
            false => Err(fail(format!(
                "its exception callback `{name}` is not a global function"
            ))),
        }
    }

    /// The subprogram that an instruction calls or takes the address of; nothing if it does neither.
    pub(crate) fn callee(
        &self,
        routine: &Routine,
        at: usize,
        insn: Insn,
    ) -> Result<Option<usize>, Error> {
        let reloc = routine.relocs.binary_search_by_key(&at, |reloc| reloc.insn);
        let target = reloc
            .ok()
            .and_then(|i| routine.relocs.get(i))
            .map(|reloc| reloc.target);
        let is_call =
            insn.is_call() && insn.src() == opcode::PSEUDO_CALL && insn.dst() == 0 && insn.off == 0;
        let is_address = insn.is_ld_imm64()
            && (insn.src() == opcode::PSEUDO_FUNC
                || matches!(target, Some(Target::Subprogram { .. })));
        if !is_call && !is_address {
            return Ok(None);
        }
        let imm = i64::from(insn.imm);
        let signed = |offset: u64| i64::try_from(offset).ok();
        let index = match target {
            Some(Target::ExternCall(_)) => return Ok(None),
            Some(Target::Call { offset }) if is_call => {
                // imm is -1 for a global function, its place for a static one.
                signed(offset / 8).and_then(|index| index.checked_add(imm)?.checked_add(1))
            }
            Some(Target::Subprogram { offset }) if is_address => {
                signed(offset).and_then(|offset| Some(offset.checked_add(imm)? / 8))
            }
            None if is_call => {
                // A call inside the section, which the compiler resolved.
                let place = routine.function.insn_offset.saturating_add(at);
                i64::try_from(place)
                    .ok()
                    .and_then(|place| place.checked_add(imm)?.checked_add(1))
            }
            _ => return Err(self.fail(routine, at, "its relocation does not fit a call")),
        };
        let index = index.and_then(|index| usize::try_from(index).ok());
        let index = index.ok_or_else(|| self.fail(routine, at, "it calls outside `.text`"))?;
        self.text
            .and_then(|text| self.routine_at(text, index))
            .map(Some)
            .ok_or_else(|| self.fail(routine, at, "it calls no function of `.text`"))
    }
}
