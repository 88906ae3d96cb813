//! Where the code of a source line begins.

use std::collections::HashMap;

use gimli::{LineProgramHeader, constants};

use super::functions::ranges;
use super::sections::Slice;
use super::{DebugInfo, DwarfError, Steps, UnitRef};

/// What there is at a source line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Where its code begins, once for each function and each inlined copy that it is in; ascending.
    pub addresses: Vec<u64>,
    /// Whether there is a source file of this name at all.
    pub is_known_file: bool,
    /// The next line of the file that has code.
    pub next: Option<u64>,
}

impl DebugInfo {
    /// The code of a line of a source file, which is given by the end of its path: `main.c`, or
    /// `net/main.c` if there are more.
    ///
    /// # Errors
    /// [`DwarfError::Format`], [`DwarfError::Overlap`].
    pub fn line(&self, file: &str, line: u64) -> Result<Line, DwarfError> {
        let mut found = Line::default();
        let dwarf = self.sections.dwarf();
        let mut steps = self.steps();
        for header in Self::units(&dwarf)? {
            let unit = dwarf.unit(header)?;
            let unit = unit.unit_ref(&dwarf);
            let addresses = rows(unit, file, line, &mut found, &mut steps)?;
            if !addresses.is_empty() {
                found
                    .addresses
                    .extend(first_of_each(unit, addresses, &mut steps)?);
            }
        }
        found.addresses.sort_unstable();
        found.addresses.dedup();
        Ok(found)
    }
}

/// The addresses of a unit at which the line begins; they are sorted.
fn rows(
    unit: UnitRef<'_, '_>,
    file: &str,
    line: u64,
    found: &mut Line,
    steps: &mut Steps,
) -> Result<Vec<u64>, DwarfError> {
    let mut addresses = Vec::new();
    let Some(program) = unit.line_program.clone() else {
        return Ok(addresses);
    };
    let mut is_wanted = HashMap::new();
    let mut rows = program.rows();
    while let Some((header, row)) = rows.next_row()? {
        steps.take(1)?;
        let number = row.file_index();
        let is_here = *is_wanted
            .entry(number)
            .or_insert_with(|| is_file(unit, header, number, file));
        if !is_here || row.end_sequence() || !row.is_stmt() {
            continue;
        }
        found.is_known_file = true;
        match row.line().map(u64::from) {
            Some(at) if at == line => addresses.push(row.address()),
            Some(at) if at > line => {
                found.next = Some(found.next.map_or(at, |next| next.min(at)));
            }
            _ => {}
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Whether the path of a file of a unit is `wanted`, or ends in it.
fn is_file<'d>(
    unit: UnitRef<'_, 'd>,
    header: &LineProgramHeader<Slice<'d>>,
    number: u64,
    wanted: &str,
) -> bool {
    let Some(file) = header.file(number) else {
        return false;
    };
    let text = |value| unit.attr_string(value).map(|text| text.to_string_lossy());
    let Ok(name) = text(file.path_name()) else {
        return false;
    };
    let folder = file.directory(header).and_then(|folder| text(folder).ok());
    let path = match folder {
        Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
        _ => name.into_owned(),
    };
    path.strip_suffix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || wanted.starts_with('/'))
}

/// Of all addresses in the same function, or the same inlined copy, the first.
fn first_of_each(
    unit: UnitRef<'_, '_>,
    addresses: Vec<u64>,
    steps: &mut Steps,
) -> Result<Vec<u64>, DwarfError> {
    let mut owners = vec![0_usize; addresses.len()];
    let mut entries = unit.entries();
    let mut number: usize = 0;
    // What is inside comes after what it is inside of.
    while let Some(entry) = entries.next_dfs()? {
        number = number.saturating_add(1);
        if !matches!(
            entry.tag(),
            constants::DW_TAG_subprogram | constants::DW_TAG_inlined_subroutine
        ) {
            continue;
        }
        for (begin, end) in ranges(unit, entry, steps)? {
            let from = addresses.partition_point(|address| *address < begin);
            let to = addresses.partition_point(|address| *address < end);
            let inside = owners.get_mut(from..to).unwrap_or_default();
            steps.take(inside.len() as u64)?;
            inside.fill(number);
        }
    }
    let mut last = HashMap::new();
    let mut firsts = Vec::new();
    for (address, owner) in addresses.into_iter().zip(owners) {
        last.entry(owner).or_insert_with(|| firsts.push(address));
    }
    Ok(firsts)
}
