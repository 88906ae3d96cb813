//! Source lines of instructions, for errors that come before there is a program to ask.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::code::{Code, Routine};
use crate::{Place, SourceLine};

/// Where the lines of each section are, once somebody asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(OnceLock<HashMap<Vec<u8>, usize>>);

impl Code {
    /// An instruction of a routine, with its source line if the object knows it.
    pub(crate) fn place(&self, routine: &Routine, insn: usize) -> Place {
        Place {
            program: routine.function.name.clone(),
            section: self.section_name(routine.function.section).to_owned(),
            insn,
            line: self.line(routine, insn),
        }
    }

    /// The source line of an instruction of a routine.
    pub(crate) fn line(&self, routine: &Routine, insn: usize) -> Option<SourceLine> {
        let (btf, infos) = (self.btf.as_deref()?, self.ext.as_ref()?.line_infos());
        let by_name = self.lines.0.get_or_init(|| {
            let mut by_name = HashMap::new();
            for (index, section) in infos.sections().enumerate() {
                if let Ok(name) = btf.str_at(section.section_name_off) {
                    by_name.entry(name.to_owned()).or_insert(index);
                }
            }
            by_name
        });
        let function = &routine.function;
        let name = self.section_name(function.section);
        let section = infos.section(*by_name.get(name.as_bytes())?)?;
        let start = u32::try_from(function.insn_offset.checked_mul(8)?).ok()?;
        let at = u32::try_from(insn.checked_mul(8)?).ok()?;
        let at = at.checked_add(start)?;
        let after = first(section.len(), |index| {
            section.get(index).is_none_or(|info| info.insn_off > at)
        });
        let info = section.get(after.checked_sub(1)?)?;
        // What comes before the routine is not about it.
        (info.insn_off >= start).then(|| {
            SourceLine::new(
                btf,
                info.file_name_off,
                info.line_off,
                info.line,
                info.column,
            )
        })
    }

    /// The first instruction that uses an extern.
    pub(crate) fn use_of(&self, name: &str) -> Option<Place> {
        let index = self.externs.iter().position(|ext| ext.name == name)?;
        self.routines.iter().find_map(|routine| {
            let mut relocs = routine.relocs.iter();
            let reloc = relocs.find(|reloc| reloc.target.is_extern(index))?;
            Some(self.place(routine, reloc.insn))
        })
    }
}

/// The first of `len` indices for which `holds`, given that it then holds for all that follow.
pub(crate) fn first(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0usize, len);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle.saturating_add(1);
        }
    }
    low
}
