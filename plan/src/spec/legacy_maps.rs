//! Maps as files defined them before BTF: a struct of words for each, in a section `maps`.

use purebpf_elf::{Object, Section, SectionKind, SymbolKind};
use purebpf_insn::{Endian, MapFlags, MapType};

use super::map::{MapOrigin, MapSpec};
use super::object::OpenOptions;
use crate::Error;

/// Words that every definition has: type, key size, value size, most elements.
const REQUIRED: usize = 4;
/// Words that are known: also flags, id and pinning.
const KNOWN: usize = 7;

/// The maps of all sections `maps` and `maps/NAME`, if the user allows them.
pub(crate) fn read(object: &Object, options: &OpenOptions) -> Result<Vec<MapSpec>, Error> {
    let mut maps = Vec::new();
    let sections = object
        .sections
        .iter()
        .filter(|section| section.kind == SectionKind::LegacyMaps);
    for section in sections {
        if !options.legacy_maps {
            // libbpf as well passes over all sections but the one with this name.
            if section.name == "maps" {
                return Err(Error::LegacyMaps);
            }
            continue;
        }
        let mut symbols: Vec<_> = object
            .symbols
            .iter()
            .filter(|symbol| symbol.section() == Some(section.index))
            .filter(|symbol| matches!(symbol.kind, SymbolKind::Object | SymbolKind::None))
            .filter(|symbol| !symbol.name.is_empty())
            .collect();
        symbols.sort_by_key(|symbol| symbol.value);
        let ends = symbols.iter().skip(1).map(|next| next.value);
        let ends = ends.chain([section.size]);
        for (symbol, end) in symbols.iter().zip(ends) {
            let words = words(section, symbol.value, end, object.endian);
            maps.push(map(section, symbol.value, &symbol.name, &words, options)?);
        }
    }
    Ok(maps)
}

/// The words between two offsets of a section.
fn words(section: &Section, start: u64, end: u64, endian: Endian) -> Vec<u32> {
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let bytes = range.and_then(|(start, end)| section.data.get(start..end));
    let words = bytes.unwrap_or_default().chunks_exact(4);
    let words = words.filter_map(|word| word.try_into().ok());
    words.map(|word| endian.u32(word)).collect()
}

fn map(
    section: &Section,
    offset: u64,
    name: &str,
    words: &[u32],
    options: &OpenOptions,
) -> Result<MapSpec, Error> {
    let mut map = MapSpec::new(name, MapOrigin::Declared, (section.index, offset));
    if words.len() < REQUIRED {
        return Err(map.fail(format!(
            "its definition has {} words, at least {REQUIRED} are needed",
            words.len()
        )));
    }
    let unknown = words.iter().skip(KNOWN).any(|word| *word != 0);
    if unknown && !options.relaxed_maps {
        return Err(map.fail("its definition says more than is known"));
    }
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    map.map_type = MapType(word(0));
    map.key_size = word(1);
    map.value_size = word(2);
    map.max_entries = word(3);
    map.flags = MapFlags::from_bits_retain(word(4));
    map.pin_by_name = match word(6) {
        0 => false,
        1 => true,
        other => {
            return Err(map.fail(format!(
                "pinning is {other}, expected 0 (none) or 1 (by name)"
            )));
        }
    };
    Ok(map)
}
