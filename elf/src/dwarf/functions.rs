//! Where functions begin, and the copies of them that were inlined into others.

use std::collections::HashMap;

use gimli::{AttributeValue, UnitOffset, constants};

use super::sections::Dwarf;
use super::{DebugInfo, DwarfError, Entry, Header, Steps, Unit, UnitRef};

/// How many entries stand between one and the one that has its name: a definition, what it defines,
/// and what that specifies.
const MOST_HOPS: usize = 4;

impl DebugInfo {
    /// Where the functions of this name begin: its own name, or that of its symbol. Ascending; a file
    /// may have several static ones.
    ///
    /// # Errors
    /// [`DwarfError::Format`], [`DwarfError::Overlap`].
    pub fn functions(&self, name: &str) -> Result<Vec<u64>, DwarfError> {
        self.entries_of(name, constants::DW_TAG_subprogram)
    }

    /// Where the inlined copies of a function begin, ascending.
    ///
    /// # Errors
    /// [`DwarfError::Format`], [`DwarfError::Overlap`].
    pub fn inlined(&self, name: &str) -> Result<Vec<u64>, DwarfError> {
        self.entries_of(name, constants::DW_TAG_inlined_subroutine)
    }

    fn entries_of(&self, name: &str, tag: constants::DwTag) -> Result<Vec<u64>, DwarfError> {
        let dwarf = self.sections.dwarf();
        let mut names = Names {
            wanted: name.as_bytes(),
            dwarf: &dwarf,
            headers: Self::units(&dwarf)?,
            others: HashMap::new(),
            known: HashMap::new(),
        };
        let mut steps = self.steps();
        let mut addresses = Vec::new();
        for index in 0..names.headers.len() {
            let Some(header) = names.headers.get(index) else {
                break;
            };
            let unit = dwarf.unit(*header)?;
            let unit = unit.unit_ref(&dwarf);
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs()? {
                steps.take(1)?;
                if entry.tag() == tag && names.is_wanted(index, unit, entry, &mut steps)? {
                    addresses.extend(begin(unit, entry, &mut steps)?);
                }
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }
}

/// Finds out which entries have a name.
struct Names<'a, 'd> {
    wanted: &'a [u8],
    dwarf: &'a Dwarf<'d>,
    headers: Vec<Header<'d>>,
    /// Units that others refer to.
    others: HashMap<usize, Unit<'d>>,
    /// What is known of entries that others refer to, by their place in `.debug_info`.
    known: HashMap<usize, bool>,
}

impl<'d> Names<'_, 'd> {
    /// Whether an entry has the name, or what it is a copy or a definition of.
    fn is_wanted(
        &mut self,
        index: usize,
        unit: UnitRef<'_, 'd>,
        entry: &Entry<'d>,
        steps: &mut Steps,
    ) -> Result<bool, DwarfError> {
        if self.has_name(unit, entry) {
            return Ok(true);
        }
        let Some(origin) = origin_of(index, unit, entry, &self.headers) else {
            return Ok(false);
        };
        if let Some(known) = self.known.get(&origin.place) {
            return Ok(*known);
        }
        let first = origin.place;
        let is_wanted = self.follow(origin, steps)?;
        self.known.insert(first, is_wanted);
        Ok(is_wanted)
    }

    fn follow(&mut self, origin: Origin, steps: &mut Steps) -> Result<bool, DwarfError> {
        let mut at = origin;
        for _ in 0..MOST_HOPS {
            steps.take(1)?;
            if let (false, Some(header)) = (
                self.others.contains_key(&at.unit),
                self.headers.get(at.unit),
            ) {
                self.others.insert(at.unit, self.dwarf.unit(*header)?);
            }
            let Some(unit) = self.others.get(&at.unit) else {
                return Ok(false);
            };
            let unit = unit.unit_ref(self.dwarf);
            let entry = unit.entry(at.offset)?;
            if self.has_name(unit, &entry) {
                return Ok(true);
            }
            match origin_of(at.unit, unit, &entry, &self.headers) {
                Some(next) => at = next,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    fn has_name(&self, unit: UnitRef<'_, 'd>, entry: &Entry<'d>) -> bool {
        [constants::DW_AT_name, constants::DW_AT_linkage_name]
            .into_iter()
            .filter_map(|name| entry.attr_value(name))
            .any(|value| {
                unit.attr_string(value)
                    .is_ok_and(|name| name.slice() == self.wanted)
            })
    }
}

/// An entry that another refers to.
#[derive(Clone, Copy)]
struct Origin {
    unit: usize,
    offset: UnitOffset,
    /// In `.debug_info`, bytes.
    place: usize,
}

fn origin_of(
    index: usize,
    unit: UnitRef<'_, '_>,
    entry: &Entry<'_>,
    headers: &[Header<'_>],
) -> Option<Origin> {
    let value = [
        constants::DW_AT_abstract_origin,
        constants::DW_AT_specification,
    ]
    .into_iter()
    .find_map(|name| entry.attr_value(name))?;
    let start = |header: &Header<'_>| header.debug_info_offset().map(|offset| offset.0);
    match value {
        AttributeValue::UnitRef(offset) => Some(Origin {
            unit: index,
            offset,
            place: start(&unit.header)?.checked_add(offset.0)?,
        }),
        AttributeValue::DebugInfoRef(place) => {
            let behind = headers.partition_point(|header| start(header) <= Some(place.0));
            let unit = behind.checked_sub(1)?;
            Some(Origin {
                unit,
                offset: place.to_unit_offset(headers.get(unit)?)?,
                place: place.0,
            })
        }
        _ => None,
    }
}

/// Where the code of an entry begins, if it has any.
fn begin<'d>(
    unit: UnitRef<'_, 'd>,
    entry: &Entry<'d>,
    steps: &mut Steps,
) -> Result<Option<u64>, DwarfError> {
    if let Some(entry) = address(unit, entry, constants::DW_AT_entry_pc)? {
        return Ok(Some(entry));
    }
    if let Some(low) = low_pc(unit, entry)? {
        let offset = entry.attr_value(constants::DW_AT_entry_pc);
        let offset = offset.and_then(|value| value.udata_value()).unwrap_or(0);
        return Ok(low.checked_add(offset));
    }
    Ok(ranges(unit, entry, steps)?.first().map(|(begin, _)| *begin))
}

/// The code of an entry, from where to before where.
pub(super) fn ranges<'d>(
    unit: UnitRef<'_, 'd>,
    entry: &Entry<'d>,
    steps: &mut Steps,
) -> Result<Vec<(u64, u64)>, DwarfError> {
    let mut found = Vec::new();
    let mut add = |begin, end| {
        if begin < end {
            found.push((begin, end));
        }
    };
    let list = match entry.attr_value(constants::DW_AT_ranges) {
        Some(value) => unit.attr_ranges(value)?,
        None => None,
    };
    if let Some(mut list) = list {
        while let Some(range) = list.next()? {
            steps.take(1)?;
            add(range.begin, range.end);
        }
    } else if let (Some(begin), Some(end)) = (low_pc(unit, entry)?, high_pc(unit, entry)?) {
        add(begin, end);
    }
    Ok(found)
}

fn low_pc<'d>(unit: UnitRef<'_, 'd>, entry: &Entry<'d>) -> Result<Option<u64>, DwarfError> {
    address(unit, entry, constants::DW_AT_low_pc)
}

/// Where the code of an entry ends: an address, or so many bytes after its beginning.
fn high_pc<'d>(unit: UnitRef<'_, 'd>, entry: &Entry<'d>) -> Result<Option<u64>, DwarfError> {
    let Some(AttributeValue::Udata(size)) = entry.attr_value(constants::DW_AT_high_pc) else {
        return address(unit, entry, constants::DW_AT_high_pc);
    };
    let Some(begin) = low_pc(unit, entry)? else {
        return Ok(None);
    };
    // gimli's own `die_ranges` does not check this.
    let end = begin.checked_add(size);
    Ok(Some(end.ok_or(gimli::Error::AddressOverflow)?))
}

fn address<'d>(
    unit: UnitRef<'_, 'd>,
    entry: &Entry<'d>,
    name: constants::DwAt,
) -> Result<Option<u64>, DwarfError> {
    match entry.attr_value(name) {
        Some(value) => Ok(unit.attr_address(value)?),
        None => Ok(None),
    }
}
