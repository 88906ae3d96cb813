//! Initial values of maps of maps and of program arrays: what `.rel.maps` says.

use indexmap::IndexMap;
use purebpf_btf::{Btf, TypeKind};
use purebpf_elf::{Object, SectionKind};
use purebpf_insn::MapType;

use super::map::{MapSpec, Slot};
use super::program::ProgramSpec;
use crate::Error;

/// Bytes of a pointer in a definition.
const POINTER: u64 = 8;

/// Fills the slots of the maps.
///
/// # Source
/// libbpf `bpf_object__collect_map_relos`.
pub(crate) fn collect(
    object: &Object,
    btf: Option<&Btf>,
    maps: &mut IndexMap<String, MapSpec>,
    programs: &IndexMap<String, ProgramSpec>,
) -> Result<(), Error> {
    let Some(section) = object.section_of(SectionKind::Maps) else {
        return Ok(());
    };
    let Some(btf) = btf else { return Ok(()) };
    let ranges = definitions(btf, maps);
    let tables = object
        .relocations
        .iter()
        .filter(|table| table.target == section.index);
    for entry in tables.flat_map(|table| &table.entries) {
        let fail = |what| {
            Error::Elf(purebpf_elf::Error::Section {
                section: section.name.clone(),
                offset: section.offset.saturating_add(entry.offset),
                what,
            })
        };
        let symbol = object
            .symbols
            .get(entry.symbol)
            .ok_or_else(|| fail("a relocation names a symbol that does not exist"))?;
        // The last that begins before it.
        let after = ranges.partition_point(|range| range.start <= entry.offset);
        let range = after
            .checked_sub(1)
            .and_then(|index| ranges.get(index))
            .filter(|range| entry.offset.saturating_add(POINTER) <= range.end)
            .ok_or_else(|| fail("a relocation is in no map definition"))?;
        let slot = slot(object, maps, programs, &range.map, symbol)?;
        let map = maps
            .get_mut(&range.map)
            .ok_or_else(|| fail("a relocation is in no map definition"))?;
        let values = range
            .values
            .ok_or_else(|| map.fail("it has a value, but no `values`"))?;
        let at = entry
            .offset
            .checked_sub(range.start)
            .and_then(|at| at.checked_sub(values));
        let index = at.filter(|at| at % POINTER == 0).map(|at| at / POINTER);
        let index = index
            .and_then(|index| usize::try_from(index).ok())
            .ok_or_else(|| map.fail("a value is not in one of its slots"))?;
        // Bounded by the size of the section, since the offset is inside it.
        if map.slots.len() <= index {
            map.slots.resize(index.saturating_add(1), None);
        }
        if let Some(place) = map.slots.get_mut(index) {
            *place = Some(slot);
        }
    }
    Ok(())
}

/// Where a map's definition is, and where in it `values` begins; sorted by place.
struct Range {
    map: String,
    start: u64,
    end: u64,
    values: Option<u64>,
}

fn definitions(btf: &Btf, maps: &IndexMap<String, MapSpec>) -> Vec<Range> {
    let datasec = btf
        .find(".maps", purebpf_btf::Kind::Datasec)
        .and_then(|id| btf.ty(id).ok());
    let Some(TypeKind::Datasec { secinfos, .. }) = datasec.map(|ty| ty.kind) else {
        return Vec::new();
    };
    let entries = secinfos.iter().filter_map(|entry| {
        let map = btf
            .name(entry.ty)
            .ok()
            .filter(|name| maps.contains_key(*name))?;
        let TypeKind::Var { ty, .. } = btf.ty(entry.ty).ok()?.kind else {
            return None;
        };
        let definition = btf.skip_mods_and_typedefs(ty).ok()?;
        let TypeKind::Struct(members) = btf.ty(definition).ok()?.kind else {
            return None;
        };
        let last = members.members().iter().next_back();
        let values = last.filter(|m| btf.name_at(m.name_off).is_ok_and(|n| n == "values"));
        let start = u64::from(entry.offset);
        Some(Range {
            map: map.to_owned(),
            start,
            end: start.saturating_add(entry.size.into()),
            values: values.map(|member| u64::from(member.bit_offset / 8)),
        })
    });
    let mut ranges: Vec<Range> = entries.collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

fn slot(
    object: &Object,
    maps: &IndexMap<String, MapSpec>,
    programs: &IndexMap<String, ProgramSpec>,
    owner: &str,
    symbol: &purebpf_elf::Symbol,
) -> Result<Slot, Error> {
    let fail = |what: String| Error::Map {
        map: owner.to_owned(),
        what,
    };
    let map_type = maps.get(owner).map_or(MapType::UNSPEC, |map| map.map_type);
    let name = &symbol.name;
    let section = symbol
        .section()
        .and_then(|index| object.sections.get(index));
    match map_type {
        MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS => {
            if section.is_none_or(|section| section.kind != SectionKind::Maps) {
                return Err(fail(format!("its value `{name}` is not a map of `.maps`")));
            }
            let key_size = maps.get(owner).map_or(0, |map| map.key_size);
            if map_type == MapType::HASH_OF_MAPS && key_size != 4 {
                return Err(fail(format!(
                    "values need keys of 4 bytes, it has {key_size}"
                )));
            }
            if !maps.contains_key(name) {
                return Err(fail(format!(
                    "its value `{name}` is not a map of the object"
                )));
            }
            Ok(Slot::Map(name.clone()))
        }
        MapType::PROG_ARRAY if programs.contains_key(name) => Ok(Slot::Program(name.clone())),
        MapType::PROG_ARRAY => Err(fail(format!(
            "its value `{name}` is not a program of the object"
        ))),
        other => Err(fail(format!(
            "a map of type {other} has no values to begin with"
        ))),
    }
}
