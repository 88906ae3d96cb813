//! Function and line information of a program, put together from that of its parts.

use std::collections::HashMap;

use purebpf_btf::Btf;
use purebpf_btf::ext::{self, FuncInfo, InfoSection, Infos, LineInfo};

use super::subprograms::{Linked, Part};
use crate::Error;
use crate::plan::{self, Info};
use crate::spec::code::Code;
use crate::spec::lines::first;

/// The function and line information of an object, by the section that it is of.
#[derive(Default)]
pub(super) struct Index<'a> {
    functions: Option<Table<'a, FuncInfo>>,
    lines: Option<Table<'a, LineInfo>>,
}

/// One of the two lists.
struct Table<'a, T> {
    record_size: u32,
    by_name: HashMap<&'a [u8], InfoSection<'a, T>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(code: &'a Code) -> Self {
        let (Some(btf), Some(ext)) = (code.btf.as_deref(), &code.ext) else {
            return Self::default();
        };
        Self {
            functions: Some(Table::new(btf, ext.func_infos())),
            lines: Some(Table::new(btf, ext.line_infos())),
        }
    }

    /// Gives a program its function and line information.
    ///
    /// # Source
    /// libbpf `reloc_prog_func_and_line_info`.
    pub(super) fn attach(
        &self,
        code: &Code,
        linked: &Linked,
        plan: &mut plan::Code,
    ) -> Result<(), Error> {
        if let (Some(functions), Some(lines)) = (&self.functions, &self.lines) {
            plan.func_info = collect(code, linked, functions, "function")?;
            plan.line_info = collect(code, linked, lines, "line")?;
        }
        Ok(())
    }
}

impl<'a, T: ext::Info> Table<'a, T> {
    fn new(btf: &'a Btf, infos: Infos<'a, T>) -> Self {
        let mut by_name = HashMap::new();
        for section in infos.sections() {
            if let Ok(name) = btf.str_at(section.section_name_off) {
                by_name.entry(name).or_insert(section);
            }
        }
        Self {
            record_size: infos.record_size(),
            by_name,
        }
    }
}

/// The records of all parts. Of a program without any there is none of this kind; but once the
/// program has some, so must each of its subprograms.
fn collect<T: ext::Info>(
    code: &Code,
    linked: &Linked,
    table: &Table<'_, T>,
    kind: &str,
) -> Result<Option<Info>, Error> {
    let mut info = Info {
        record_size: table.record_size,
        records: Vec::new(),
    };
    for part in &linked.parts {
        let Some(routine) = code.routines.get(part.routine) else {
            continue;
        };
        let section = code.section_name(routine.function.section);
        let found = table
            .by_name
            .get(section.as_bytes())
            .is_some_and(|section| append(code, part, section, &mut info));
        if found {
            continue;
        }
        let name = &routine.function.name;
        if info.records.is_empty() {
            log::debug!("function `{name}` has no {kind} information");
            return Ok(None);
        }
        return Err(Error::Program {
            program: name.clone(),
            what: format!("it has no {kind} information, but its caller has"),
        });
    }
    Ok(Some(info))
}

/// Copies the records of one part, which are sorted by instruction; whether there are any.
fn append<T: ext::Info>(
    code: &Code,
    part: &Part,
    section: &InfoSection<'_, T>,
    info: &mut Info,
) -> bool {
    let Some(routine) = code.routines.get(part.routine) else {
        return false;
    };
    let function = &routine.function;
    let end = function.insn_offset.saturating_add(function.insns.len());
    let insn = |index: usize| {
        let word = section
            .record_bytes(index)?
            .first_chunk()
            .copied()
            .map(u32::from_ne_bytes)?;
        usize::try_from(word / 8).ok()
    };
    let mut index = first(section.len(), |index| {
        insn(index) >= Some(function.insn_offset)
    });
    let before = info.records.len();
    while let Some(at) = insn(index).filter(|at| *at < end) {
        let at = at
            .saturating_sub(function.insn_offset)
            .saturating_add(part.start);
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        let rest = section
            .record_bytes(index)
            .and_then(|record| record.get(4..));
        info.records.extend_from_slice(&at.to_ne_bytes());
        info.records.extend_from_slice(rest.unwrap_or_default());
        index = index.saturating_add(1);
    }
    info.records.len() > before
}
