//! Global variables: the maps that hold them, and their values before loading.

use purebpf_btf::{Btf, Linkage, TypeId, TypeKind};
use purebpf_elf::{Object, Section, SectionKind};
use purebpf_insn::{MapFlags, MapType};

use super::map::{MapOrigin, MapSpec};
use super::object::ObjectSpec;
use super::open::NAME_MAX;
use crate::Error;

/// A value that is only its bytes: integers, and structs of them without padding.
pub trait Plain: bytemuck::NoUninit {}

impl<T: bytemuck::NoUninit> Plain for T {}

/// One map for each section of variables, in the order of the file.
///
/// # Source
/// libbpf `bpf_object__init_global_data_maps`.
pub(crate) fn maps(object: &Object, name: &str, btf: Option<&Btf>) -> Result<Vec<MapSpec>, Error> {
    let sections = object
        .sections
        .iter()
        .filter(|s| s.kind.is_data() && s.size > 0);
    sections.map(|section| map(section, name, btf)).collect()
}

fn map(section: &Section, object: &str, btf: Option<&Btf>) -> Result<MapSpec, Error> {
    let origin = match section.kind {
        SectionKind::Rodata => MapOrigin::Rodata,
        SectionKind::Bss => MapOrigin::Bss,
        _ => MapOrigin::Data,
    };
    let size = u32::try_from(section.size).map_err(|_| Error::Map {
        map: section.name.clone(),
        what: format!("{} bytes of variables, at most 4 GiB", section.size),
    })?;
    let mut map = internal(&section.name, object, origin, size, btf);
    map.place = (section.index, 0);
    if origin != MapOrigin::Bss {
        map.contents = Some(section.data.to_vec());
    }
    Ok(map)
}

/// A map of variables; `section` is the name that BTF knows it by.
pub(crate) fn internal(
    section: &str,
    object: &str,
    origin: MapOrigin,
    size: u32,
    btf: Option<&Btf>,
) -> MapSpec {
    let kernel_name = kernel_name(object, section);
    // Only these two keep their section's name in full; libbpf's users know the others by the
    // name in the kernel.
    let is_renamed = matches!(
        (origin, section),
        (MapOrigin::Data, s) if s != ".data"
    ) || matches!((origin, section), (MapOrigin::Rodata, s) if s != ".rodata");
    let name = if is_renamed { section } else { &kernel_name };
    let mut map = MapSpec::new(name, origin, (usize::MAX, 0));
    map.map_type = MapType::ARRAY;
    map.key_size = 4;
    map.value_size = size;
    map.max_entries = 1;
    map.section = Some(section.to_owned());
    map.value_type = btf
        .and_then(|btf| btf.find_any(section))
        .unwrap_or(TypeId::VOID);
    if origin.is_constant() {
        map.flags |= MapFlags::RDONLY_PROG;
    }
    if btf.is_some_and(|btf| has_visible_variable(btf, section)) {
        map.flags |= MapFlags::MMAPABLE;
    }
    map.kernel_name = kernel_name;
    map
}

/// Whether any variable of the section is seen from outside: then user space may map them.
fn has_visible_variable(btf: &Btf, section: &str) -> bool {
    let Some(id) = btf.find(section, purebpf_btf::Kind::Datasec) else {
        return false;
    };
    let Ok(TypeKind::Datasec { secinfos, .. }) = btf.ty(id).map(|ty| ty.kind) else {
        return false;
    };
    secinfos.iter().any(|entry| {
        let kind = btf.ty(entry.ty).map(|ty| ty.kind);
        matches!(kind, Ok(TypeKind::Var { linkage, .. }) if linkage != Linkage::STATIC)
    })
}

/// The name of a map of variables in the kernel: of the object's name as much as leaves room for
/// the section's.
///
/// # Source
/// libbpf `internal_map_name`.
fn kernel_name(object: &str, section: &str) -> String {
    let suffix = section.len().clamp(7, NAME_MAX);
    let has_second_dot = section.get(1..).is_some_and(|rest| rest.contains('.'));
    let prefix = if has_second_dot {
        0
    } else {
        NAME_MAX.saturating_sub(suffix)
    };
    object
        .bytes()
        .take(prefix)
        .chain(section.bytes().take(suffix))
        .take(NAME_MAX)
        .map(|byte| match char::from(byte) {
            c if c.is_ascii_alphanumeric() || c == '_' || c == '.' => c,
            _ => '_',
        })
        .collect()
}

/// A variable of an object, as its BTF tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeId,
    /// Bytes between the start of its section and the variable.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// The variables of a section, such as `.bss`; none if the BTF does not know it.
#[must_use]
pub fn variables(btf: &Btf, section: &str) -> Vec<Variable> {
    let id = btf.find(section, purebpf_btf::Kind::Datasec);
    let kind = id.and_then(|id| btf.ty(id).ok()).map(|ty| ty.kind);
    let Some(TypeKind::Datasec { secinfos, .. }) = kind else {
        return Vec::new();
    };
    let variable = |entry: purebpf_btf::SecInfo| {
        let TypeKind::Var { ty, .. } = btf.ty(entry.ty).ok()?.kind else {
            return None;
        };
        Some(Variable {
            name: btf.name(entry.ty).ok()?.to_owned(),
            ty,
            offset: entry.offset,
            size: entry.size,
        })
    };
    secinfos.iter().filter_map(variable).collect()
}

/// Where a variable is: the position of its map, offset and size in bytes.
fn find(spec: &ObjectSpec, name: &str) -> Result<(usize, usize, usize), Error> {
    let btf = spec.code.btf.as_deref();
    let btf = btf.ok_or_else(|| Error::NoBtf {
        what: format!("a global `{name}`"),
    })?;
    let mut known = Vec::new();
    for (index, map) in spec.maps.values().enumerate() {
        let is_settable = matches!(
            map.origin,
            MapOrigin::Data | MapOrigin::Rodata | MapOrigin::Bss
        );
        let Some(section) = map.section.as_deref().filter(|_| is_settable) else {
            continue;
        };
        for variable in variables(btf, section) {
            if variable.name == name {
                let offset = usize::try_from(variable.offset).unwrap_or(usize::MAX);
                let size = usize::try_from(variable.size).unwrap_or(usize::MAX);
                return Ok((index, offset, size));
            }
            known.push(format!("`{}`", variable.name));
        }
    }
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    Err(Error::NotFound {
        kind: "global",
        name: name.to_owned(),
        known,
    })
}

pub(crate) fn set(spec: &mut ObjectSpec, name: &str, value: &[u8]) -> Result<(), Error> {
    let fail = |what: String| Error::Global {
        name: name.to_owned(),
        what,
    };
    let (map, offset, size) = find(spec, name)?;
    if value.len() != size {
        return Err(fail(format!(
            "the value has {} bytes, the variable {size}",
            value.len()
        )));
    }
    let (_, map) = spec
        .maps
        .get_index_mut(map)
        .ok_or_else(|| fail("its map is gone".to_owned()))?;
    let len = usize::try_from(map.value_size).unwrap_or(usize::MAX);
    let contents = map.contents.get_or_insert_with(|| vec![0; len]);
    offset
        .checked_add(size)
        .and_then(|end| contents.get_mut(offset..end))
        .ok_or_else(|| fail("it is outside its section".to_owned()))?
        .copy_from_slice(value);
    Ok(())
}

pub(crate) fn get(spec: &ObjectSpec, name: &str) -> Result<Vec<u8>, Error> {
    let fail = |what: String| Error::Global {
        name: name.to_owned(),
        what,
    };
    let (map, offset, size) = find(spec, name)?;
    let (_, map) = spec
        .maps
        .get_index(map)
        .ok_or_else(|| fail("its map is gone".to_owned()))?;
    let outside = || fail("it is outside its section".to_owned());
    let end = offset.checked_add(size).ok_or_else(outside)?;
    match &map.contents {
        Some(contents) => contents
            .get(offset..end)
            .map(<[u8]>::to_vec)
            .ok_or_else(outside),
        None if u32::try_from(end).is_ok_and(|end| end <= map.value_size) => Ok(vec![0; size]),
        None => Err(outside()),
    }
}

#[cfg(test)]
mod tests {
    use super::kernel_name;

    #[test]
    fn kernel_names_follow_libbpf() {
        let name = |section| kernel_name("my_object_name", section);
        assert_eq!(name(".rodata"), "my_objec.rodata");
        assert_eq!(name(".bss"), "my_objec.bss");
        assert_eq!(name(".data"), "my_objec.data");
        assert_eq!(name(".kconfig"), "my_obje.kconfig");
        assert_eq!(name(".rodata.abracadabra"), ".rodata.abracad");
    }
}
