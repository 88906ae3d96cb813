//! Where the units are, and which are read together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use gimli::{Abbreviations, DebugAbbrev, Reader as _, Section as _, UnitHeader, UnitType};

use super::report::{SkipReason, SkippedUnit};
use super::sections::{Dwarf, Offset, Slice};
use super::unit::Signatures;

/// All units of a file.
#[derive(Debug, Default)]
pub(super) struct Units<'d> {
    /// In the order of the sections.
    pub(super) all: Vec<Place<'d>>,
    /// Where the type of each type unit is.
    pub(super) signatures: Signatures,
    /// What follows the last readable header.
    pub(super) broken: Vec<SkippedUnit>,
    /// Where tables of abbreviations start, ascending.
    tables: Vec<usize>,
}

/// A unit and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Place<'d> {
    pub(super) start: Offset,
    pub(super) header: UnitHeader<Slice<'d>>,
}

impl Place<'_> {
    pub(super) fn end(&self) -> Offset {
        let len = self.header.length_including_self() as u64;
        self.start.saturating_add(len)
    }
}

impl<'d> Units<'d> {
    /// Reads the headers.
    pub(super) fn new(dwarf: &Dwarf<'d>) -> Self {
        let mut units = Self::default();
        let mut info = dwarf.units();
        units.add(0, || info.next());
        let behind = dwarf.debug_info.reader().len() as u64;
        let mut types = dwarf.type_units();
        units.add(behind, || types.next());
        let tables = units
            .all
            .iter()
            .map(|unit| unit.header.debug_abbrev_offset().0);
        let mut tables: Vec<_> = tables.collect();
        tables.sort_unstable();
        tables.dedup();
        units.tables = tables;
        units
    }

    fn add(
        &mut self,
        section: Offset,
        mut next: impl FnMut() -> gimli::Result<Option<UnitHeader<Slice<'d>>>>,
    ) {
        let mut end = section;
        loop {
            let header = match next() {
                Ok(Some(header)) => header,
                Ok(None) => return,
                Err(problem) => {
                    self.broken.push(SkippedUnit {
                        name: String::new(),
                        offset: end,
                        reason: SkipReason::Broken(problem.to_string()),
                    });
                    return;
                }
            };
            let place = Place { start: end, header };
            end = place.end();
            if let UnitType::Type {
                type_signature,
                type_offset,
            } = place.header.type_()
            {
                let offset = place.start.saturating_add(type_offset.0 as u64);
                self.signatures.insert(type_signature.0, offset);
            }
            self.all.push(place);
        }
    }

    /// The units in runs of this many bytes, each a run of its own that is larger. Where there are
    /// type units, all are one run, since anyone may refer to those.
    pub(super) fn chunks(&self, bytes: u64) -> Vec<&[Place<'d>]> {
        if !self.signatures.is_empty() {
            return vec![&self.all];
        }
        let mut first = 0;
        self.all
            .chunk_by(|_, next| {
                let same = next.end().saturating_sub(first) <= bytes;
                if !same {
                    first = next.start;
                }
                same
            })
            .collect()
    }

    /// The abbreviations of a unit.
    ///
    /// A table ends where the next one starts: otherwise many units could have one long table each,
    /// all in the same bytes.
    pub(super) fn abbreviations<'t>(
        &self,
        dwarf: &Dwarf<'d>,
        unit: &Place<'d>,
        known: &'t mut Tables,
    ) -> gimli::Result<&'t Abbreviations> {
        let start = unit.header.debug_abbrev_offset();
        match known.entry(start.0) {
            Entry::Occupied(table) => Ok(table.into_mut()),
            Entry::Vacant(slot) => {
                let mut bytes = *dwarf.debug_abbrev.reader();
                let next = self.tables.partition_point(|table| *table <= start.0);
                if let Some(end) = self.tables.get(next) {
                    bytes.truncate((*end).min(bytes.len()))?;
                }
                let table = DebugAbbrev::from(bytes).abbreviations(start)?;
                Ok(slot.insert(table))
            }
        }
    }
}

/// Tables of abbreviations that were read, by where they start.
pub(super) type Tables = HashMap<usize, Abbreviations>;

/// The part of the sections that a run of units covers.
pub(super) fn range(units: &[Place<'_>]) -> Range<Offset> {
    match (units.first(), units.last()) {
        (Some(first), Some(last)) => first.start..last.end(),
        _ => 0..0,
    }
}
