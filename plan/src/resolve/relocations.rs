//! Maps, variables and externs, patched into a program.

use std::sync::Arc;

use purebpf_insn::{Insn, opcode};

use super::Context;
use super::externs::Resolved;
use super::jump_tables::JumpTables;
use super::poison::{self, poison};
use super::subprograms::Linked;
use crate::plan::{Code, InsnReference, Reference};
use crate::spec::code::{Reloc, Routine, Target};
use crate::{Error, Missing, Poison};

/// Patches all relocations but those of calls inside the program.
///
/// # Source
/// libbpf `bpf_object__relocate_data`.
pub(super) fn apply(context: &Context<'_>, linked: &Linked) -> Result<Code, Error> {
    let spec = &context.spec.code;
    let mut code = Code {
        insns: linked.insns.clone(),
        modules: context.externs.modules.clone(),
        btf: spec.btf.clone(),
        ..Code::default()
    };
    let mut tables = JumpTables::default();
    for part in &linked.parts {
        let Some(routine) = spec.routines.get(part.routine) else {
            continue;
        };
        for note in context.core.poisons(part.routine) {
            let insn = part.start.saturating_add(note.insn);
            code.poisons.push(Poison {
                insn,
                missing: note.missing.clone(),
            });
        }
        for reloc in &routine.relocs {
            if let Target::JumpTable { offset, size } = reloc.target {
                let table = tables.find(spec, &mut code, routine, part.start, (offset, size));
                let at = part.start.saturating_add(reloc.insn);
                let fail = |what: &str| spec.fail(routine, reloc.insn, what);
                let index = table.map_err(fail)?;
                let mut slots = Slots {
                    code: &mut code,
                    at,
                };
                // The second half keeps what the compiler wrote: an offset in the table.
                let insn = slots.first().ok_or_else(|| fail(CUT))?;
                insn.set_src(opcode::PSEUDO_MAP_VALUE);
                insn.imm = 0;
                slots.refer(Reference::JumpTable(index));
                continue;
            }
            patch(context, &mut code, routine, reloc, part.start)?;
        }
    }
    Ok(code)
}

fn patch(
    context: &Context<'_>,
    code: &mut Code,
    routine: &Routine,
    reloc: &Reloc,
    start: usize,
) -> Result<(), Error> {
    let at = start.saturating_add(reloc.insn);
    let fail = |what: &str| context.spec.code.fail(routine, reloc.insn, what);
    let mut slots = Slots { code, at };
    match reloc.target {
        Target::Call { .. } | Target::Subprogram { .. } | Target::JumpTable { .. } => {}
        Target::Map(map) => context.map(&mut slots, map, opcode::PSEUDO_MAP_FD, None, &fail)?,
        Target::Data { map, offset } => {
            let addend = slots.first().map_or(0, |insn| insn.imm.cast_unsigned());
            // The kernel takes 32 bits of offset, as libbpf writes them.
            let offset = addend.wrapping_add(u32::try_from(offset & 0xffff_ffff).unwrap_or(0));
            let start = context.maps.get(map).map_or(0, |map| map.contents_offset);
            let offset = offset.wrapping_add(start);
            context.map(
                &mut slots,
                map,
                opcode::PSEUDO_MAP_VALUE,
                Some(offset),
                &fail,
            )?;
        }
        Target::ExternLoad(index) => match context.externs.get(index) {
            Some(Resolved::Config { map, offset }) => {
                let (map, offset) = (*map, Some(*offset));
                context.map(&mut slots, map, opcode::PSEUDO_MAP_VALUE, offset, &fail)?;
            }
            Some(Resolved::Variable { id, module } | Resolved::Function { id, module, .. }) => {
                slots
                    .load(Some(opcode::PSEUDO_BTF_ID), id.0, Some(0))
                    .ok_or_else(|| fail(CUT))?;
                if let Some(module) = module {
                    slots.refer(Reference::ModuleBtf(Arc::clone(module)));
                }
            }
            Some(Resolved::Address(address)) => {
                let low = u32::try_from(*address & 0xffff_ffff).unwrap_or(0);
                let high = u32::try_from(*address >> 32).unwrap_or(0);
                slots.load(None, low, Some(high)).ok_or_else(|| fail(CUT))?;
            }
            None => slots.load(None, 0, Some(0)).ok_or_else(|| fail(CUT))?,
        },
        Target::ExternCall(index) => match context.externs.get(index) {
            Some(Resolved::Function { id, slot, .. }) => {
                let insn = slots.first().ok_or_else(|| fail(CUT))?;
                insn.set_src(opcode::PSEUDO_KFUNC_CALL);
                insn.imm = id.0.cast_signed();
                insn.off = *slot;
            }
            Some(_) => return Err(fail("what it calls is not a function of the kernel")),
            None => {
                let name = context
                    .spec
                    .code
                    .externs
                    .get(index)
                    .map_or("", |ext| ext.name.as_str());
                let imm = i32::try_from(index)
                    .unwrap_or(0)
                    .saturating_add(poison::KFUNC);
                let name = name.to_owned();
                slots.poison(1, imm, Missing::Function { name });
            }
        },
    }
    Ok(())
}

const CUT: &str = "a 64-bit load lacks its second half";

/// The one or two instructions of a relocation.
struct Slots<'a> {
    code: &'a mut Code,
    at: usize,
}

impl Slots<'_> {
    fn first(&mut self) -> Option<&mut Insn> {
        self.code.insns.get_mut(self.at)
    }

    /// Writes both halves of a 64-bit load; without `high`, the second one keeps what is in it.
    fn load(&mut self, src: Option<u8>, low: u32, high: Option<u32>) -> Option<()> {
        let end = self.at.checked_add(2)?;
        let [first, second] = self.code.insns.get_mut(self.at..end)? else {
            return None;
        };
        if let Some(src) = src {
            first.set_src(src);
        }
        first.imm = low.cast_signed();
        if let Some(high) = high {
            second.imm = high.cast_signed();
        }
        Some(())
    }

    fn refer(&mut self, to: Reference) {
        self.code
            .references
            .push(InsnReference { insn: self.at, to });
    }

    fn poison(&mut self, count: usize, imm: i32, missing: Missing) {
        let insns = self.code.insns.iter_mut().skip(self.at).take(count);
        insns.for_each(|insn| *insn = poison(imm));
        let insn = self.at;
        self.code.poisons.push(Poison { insn, missing });
    }
}

impl Context<'_> {
    /// Lets a 64-bit load give a map, or the address in its value.
    fn map(
        &self,
        slots: &mut Slots<'_>,
        map: usize,
        src: u8,
        offset: Option<u32>,
        fail: &dyn Fn(&str) -> Error,
    ) -> Result<(), Error> {
        let plan = self
            .maps
            .get(map)
            .ok_or_else(|| fail("its map does not exist"))?;
        if !plan.autocreate {
            let imm = i32::try_from(map).unwrap_or(0).saturating_add(poison::MAP);
            let name = plan.name.clone();
            slots.poison(2, imm, Missing::Map { name });
            return Ok(());
        }
        slots.load(Some(src), 0, offset).ok_or_else(|| fail(CUT))?;
        slots.refer(Reference::Map(map));
        Ok(())
    }
}
