//! Functions and what each of their instructions refers to: the part of an object that is read
//! once and never edited.

use std::collections::HashMap;
use std::sync::Arc;

use purebpf_btf::Btf;
use purebpf_btf::ext::BtfExt;
use purebpf_elf::{Binding, Bytes, Function, Object, Section, SectionKind, Symbol, SymbolKind};
use purebpf_insn::{Endian, Insn, MapType, opcode};

use super::calls::ExceptionCallback;
use super::extern_::Extern;
use super::lines::Lines;
use super::map::{MapOrigin, MapSpec};
use crate::Error;

/// What an instruction refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A map, by its position in the object.
    Map(usize),
    /// An address in the value of a map of variables.
    Data { map: usize, offset: u64 },
    /// The address or value of an extern, by its position.
    ExternLoad(usize),
    /// A call of an extern.
    ExternCall(usize),
    /// A call of a subprogram; the offset in `.text` of its symbol, bytes.
    Call { offset: u64 },
    /// The address of a subprogram; the offset in `.text` of its symbol, bytes.
    Subprogram { offset: u64 },
    /// A table of places to jump to; where it is in `.jumptables`, bytes.
    JumpTable { offset: u64, size: u64 },
}

impl Target {
    /// Whether it is an extern, given by its position.
    pub(crate) fn is_extern(&self, index: usize) -> bool {
        matches!(self, Self::ExternLoad(known) | Self::ExternCall(known) if *known == index)
    }
}

/// One relocation of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reloc {
    /// Instruction, from the start of the function.
    pub(crate) insn: usize,
    pub(crate) target: Target,
}

/// A function with its relocations, sorted by instruction.
#[derive(Clone, Debug)]
pub(crate) struct Routine {
    pub(crate) function: Function,
    pub(crate) relocs: Vec<Reloc>,
}

/// Everything of the file that is hardly ever edited; shared by all clones of a spec.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) endian: Endian,
    /// Sorted by section and place.
    pub(crate) routines: Vec<Routine>,
    pub(crate) section_names: Vec<String>,
    pub(crate) text: Option<usize>,
    pub(crate) externs: Vec<Extern>,
    pub(crate) btf: Option<Arc<Btf>>,
    pub(crate) ext: Option<BtfExt>,
    pub(crate) lines: Lines,
    /// The data of `.jumptables`: offsets in sections of code, 8 bytes each.
    pub(crate) jump_tables: Bytes,
    /// Programs with a function of their own for exceptions.
    pub(crate) exceptions: HashMap<String, ExceptionCallback>,
}

impl Code {
    pub(crate) fn section_name(&self, index: usize) -> &str {
        self.section_names.get(index).map_or("", String::as_str)
    }

    /// The sections by name; of several with the same, the first.
    pub(crate) fn sections_by_name(&self) -> HashMap<&str, usize> {
        let names = self.section_names.iter().enumerate().rev();
        names.map(|(index, name)| (name.as_str(), index)).collect()
    }

    /// The routine that covers an instruction of a section.
    pub(crate) fn routine_at(&self, section: usize, insn: usize) -> Option<usize> {
        routine_at(&self.routines, section, insn)
    }

    /// Whether a routine is a subprogram rather than a program.
    pub(crate) fn is_subprogram(&self, routine: &Routine) -> bool {
        Some(routine.function.section) == self.text
    }

    pub(crate) fn fail(&self, routine: &Routine, insn: usize, what: impl Into<String>) -> Error {
        Error::Relocation {
            program: routine.function.name.clone(),
            section: self.section_name(routine.function.section).to_owned(),
            insn,
            what: what.into(),
            line: self.line(routine, insn).map(Box::new),
        }
    }
}

fn routine_at(routines: &[Routine], section: usize, insn: usize) -> Option<usize> {
    let after = routines
        .partition_point(|r| (r.function.section, r.function.insn_offset) <= (section, insn));
    let index = after.checked_sub(1)?;
    let function = &routines.get(index)?.function;
    let inside = function.section == section
        && insn.checked_sub(function.insn_offset)? < function.insns.len();
    inside.then_some(index)
}

/// Attaches to every function what its relocations refer to.
///
/// # Source
/// libbpf `bpf_object__collect_prog_relos`, `bpf_program__record_reloc`.
pub(crate) fn routines(
    object: &mut Object,
    maps: &[&MapSpec],
    externs: &[Extern],
) -> Result<Vec<Routine>, Error> {
    let functions = std::mem::take(&mut object.functions);
    let mut routines: Vec<Routine> = functions
        .into_iter()
        .map(|function| Routine {
            function,
            relocs: Vec::new(),
        })
        .collect();
    let symbols = Symbols::new(object, maps, externs);
    for table in &object.relocations {
        let Some(section) = object.sections.get(table.target) else {
            continue;
        };
        if section.kind != SectionKind::Code {
            continue;
        }
        for entry in &table.entries {
            let insn = symbols.check(section, entry)?;
            let Some(routine) =
                routine_at(&routines, section.index, insn).and_then(|r| routines.get_mut(r))
            else {
                // Left over from a weak function that lost against another of its name.
                continue;
            };
            let insn = insn.saturating_sub(routine.function.insn_offset);
            let target = symbols.target(&routine.function, section, insn, entry.symbol)?;
            routine.relocs.push(Reloc { insn, target });
        }
    }
    for routine in &mut routines {
        routine.relocs.sort_by_key(|reloc| reloc.insn);
    }
    Ok(routines)
}

/// Finds what a symbol is.
struct Symbols<'a> {
    object: &'a Object,
    text: Option<usize>,
    by_symbol: HashMap<usize, usize>,
    by_place: HashMap<(usize, u64), usize>,
    /// The maps of variables, by section.
    by_section: HashMap<usize, usize>,
    arena: Option<usize>,
}

impl<'a> Symbols<'a> {
    fn new(object: &'a Object, maps: &[&MapSpec], externs: &[Extern]) -> Self {
        let mut by_section = HashMap::new();
        for (index, map) in maps.iter().enumerate() {
            if map.origin != MapOrigin::Declared {
                by_section.entry(map.place.0).or_insert(index);
            }
        }
        Self {
            object,
            text: object.text().map(|section| section.index),
            by_symbol: externs
                .iter()
                .enumerate()
                .map(|(i, ext)| (ext.symbol, i))
                .collect(),
            by_place: maps
                .iter()
                .enumerate()
                .map(|(i, map)| (map.place, i))
                .collect(),
            by_section,
            arena: maps.iter().position(|map| map.map_type == MapType::ARENA),
        }
    }

    /// The instruction in its section, once the entry is known to be sound.
    fn check(&self, section: &Section, entry: &purebpf_elf::Relocation) -> Result<usize, Error> {
        let fail = |what| {
            Error::Elf(purebpf_elf::Error::Section {
                section: section.name.clone(),
                offset: section.offset.saturating_add(entry.offset),
                what,
            })
        };
        let symbol = self
            .object
            .symbols
            .get(entry.symbol)
            .ok_or_else(|| fail("a relocation names a symbol that does not exist"))?;
        let is_known = match symbol.place {
            purebpf_elf::SymbolPlace::Undefined => true,
            purebpf_elf::SymbolPlace::Section(index) => index < self.object.sections.len(),
            purebpf_elf::SymbolPlace::Reserved(_) => false,
        };
        if !is_known {
            return Err(fail(
                "a relocation names a symbol of no section of the file",
            ));
        }
        let offset = usize::try_from(entry.offset).ok();
        match offset {
            Some(offset) if offset % Insn::SIZE == 0 && offset < section.data.len() => {
                Ok(offset / Insn::SIZE)
            }
            _ => Err(fail("a relocation is not at an instruction of the section")),
        }
    }

    fn target(
        &self,
        function: &Function,
        section: &Section,
        insn_index: usize,
        symbol_index: usize,
    ) -> Result<Target, Error> {
        let name = self.object.symbol_name(symbol_index);
        let fail = |what: &str| Error::Relocation {
            program: function.name.clone(),
            section: section.name.clone(),
            insn: insn_index,
            what: format!("symbol `{name}`: {what}"),
            line: None,
        };
        let insn = function
            .insns
            .get(insn_index)
            .copied()
            .ok_or_else(|| fail("it is used outside the function"))?;
        let symbol = self
            .object
            .symbols
            .get(symbol_index)
            .ok_or_else(|| fail("it does not exist"))?;
        if !insn.is_call() && !insn.is_ld_imm64() {
            return Err(fail(&format!(
                "opcode {:#04x} uses it, expected a call or a 64-bit load",
                insn.code
            )));
        }
        if symbol.is_extern() {
            let index = self
                .by_symbol
                .get(&symbol_index)
                .copied()
                .ok_or_else(|| fail("it is an extern without a name"))?;
            return Ok(match insn.is_call() {
                true => Target::ExternCall(index),
                false => Target::ExternLoad(index),
            });
        }
        if insn.is_call() {
            return self.call(insn, symbol).map_err(fail);
        }
        self.load(insn, symbol).map_err(fail)
    }

    fn call(&self, insn: Insn, symbol: &Symbol) -> Result<Target, &'static str> {
        if insn.src() != opcode::PSEUDO_CALL {
            return Err("a call that is not one of a subprogram uses it");
        }
        if symbol.section().is_none() || symbol.section() != self.text {
            return Err("a call uses it, but it is not in `.text`");
        }
        if !symbol.value.is_multiple_of(8) {
            return Err("it is not at an instruction");
        }
        Ok(Target::Call {
            offset: symbol.value,
        })
    }

    fn load(&self, insn: Insn, symbol: &Symbol) -> Result<Target, &'static str> {
        let section = symbol
            .section()
            .and_then(|index| self.object.sections.get(index))
            .ok_or("it is in no section (a global without a value?)")?;
        if self.is_subprogram(symbol, section) {
            if !symbol.value.is_multiple_of(8) || insn.imm % 8 != 0 {
                return Err("it is not at an instruction");
            }
            return Ok(Target::Subprogram {
                offset: symbol.value,
            });
        }
        let place = (section.index, symbol.value);
        match section.kind {
            SectionKind::Maps | SectionKind::LegacyMaps => self
                .by_place
                .get(&place)
                .copied()
                .map(Target::Map)
                .ok_or("no map is defined where it is"),
            SectionKind::Arena => {
                let map = self.arena;
                let map = map.ok_or("the object has arena variables but no arena")?;
                Ok(Target::Data {
                    map,
                    offset: symbol.value,
                })
            }
            kind if kind.is_data() => {
                let map = self.by_section.get(&section.index).copied();
                let map = map.ok_or("its section holds no data")?;
                Ok(Target::Data {
                    map,
                    offset: symbol.value,
                })
            }
            SectionKind::JumpTables => Ok(Target::JumpTable {
                offset: symbol.value,
                size: symbol.size,
            }),
            _ => Err("its section is none that a program can refer to"),
        }
    }

    fn is_subprogram(&self, symbol: &Symbol, section: &Section) -> bool {
        Some(section.index) == self.text
            && match symbol.binding {
                Binding::Local => symbol.kind == SymbolKind::Section,
                Binding::Global | Binding::Weak => symbol.kind == SymbolKind::Function,
                Binding::Other(_) => false,
            }
    }
}
