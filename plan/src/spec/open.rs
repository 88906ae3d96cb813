//! From a file to an [`ObjectSpec`], in libbpf's order: the first thing wrong is the error.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use purebpf_btf::ext::BtfExt;
use purebpf_btf::{Btf, BtfBuilder, BtfData, Linkage, TypeKind};
use purebpf_elf::{Binding, Bytes, Object, SectionKind, Symbol, SymbolKind};
use purebpf_insn::MapType;

use super::code::{self, Code};
use super::extern_::{self, Datasec, Extern};
use super::lines::Lines;
use super::map::{MapOrigin, MapSpec};
use super::object::{ObjectSpec, OpenOptions};
use super::program::ProgramSpec;
use super::{calls, global, legacy_maps, slots, struct_ops};
use crate::Error;

/// Bytes of a name in the kernel, without its end.
pub(crate) const NAME_MAX: usize = 15;

/// The first `len` bytes of a text, or less where that would cut a character.
pub(crate) fn cut(text: &str, len: usize) -> &str {
    let end = (0..=len.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Reads a file.
///
/// # Source
/// libbpf `bpf_object_open`.
pub(crate) fn read(file: Bytes, name: &str, options: &OpenOptions) -> Result<ObjectSpec, Error> {
    let name = cut(name, NAME_MAX);
    let mut object = Object::parse(file)?;
    let (btf, ext) = read_btf(&object)?;
    let (btf, externs) = prepare_btf(&object, btf)?;

    let mut arena = object.section_of(SectionKind::Arena);
    let mut maps = IndexMap::new();
    let mut add = |map: MapSpec| -> Result<(), Error> {
        let twice = map.fail("two maps have this name");
        match maps.insert(map.name.clone(), map) {
            None => Ok(()),
            Some(_) => Err(twice),
        }
    };
    for mut map in declared_maps(&object, btf.as_deref(), options.relaxed_maps)? {
        if map.map_type == MapType::ARENA {
            map.contents = arena.take().map(|section| section.data.to_vec());
        }
        add(map)?;
    }
    if let Some(section) = arena {
        return Err(Error::Map {
            map: section.name.clone(),
            what: "the object has variables in an arena, but no arena".to_owned(),
        });
    }
    for map in legacy_maps::read(&object, options)? {
        add(map)?;
    }
    for map in global::maps(&object, name, btf.as_deref())? {
        add(map)?;
    }
    match extern_::config_size(&externs) {
        0 => {}
        size => {
            let btf = btf.as_deref();
            add(global::internal(
                ".kconfig",
                name,
                MapOrigin::Kconfig,
                size,
                btf,
            ))?;
        }
    }
    for map in struct_ops::maps(&object, btf.as_ref())? {
        add(map)?;
    }

    let routines = code::routines(&mut object, &maps.values().collect::<Vec<_>>(), &externs)?;
    let text = object.text().map(|section| section.index);
    let jump_tables = object.section_of(SectionKind::JumpTables);
    let jump_tables = jump_tables.map_or_else(Bytes::default, |section| section.data.clone());
    let mut programs = IndexMap::new();
    for (index, routine) in routines.iter().enumerate() {
        let function = &routine.function;
        if Some(function.section) != text {
            let section = object.section_name(function.section);
            let program = ProgramSpec::new(&function.name, section, index, &options.sections);
            if programs.insert(function.name.clone(), program).is_some() {
                return Err(Error::Program {
                    program: function.name.clone(),
                    what: "two programs have this name".to_owned(),
                });
            }
        }
    }
    slots::collect(&object, btf.as_deref(), &mut maps, &programs)?;
    struct_ops::collect(&object, &routines, btf.as_deref(), &mut maps, &programs)?;

    Ok(ObjectSpec {
        name: name.to_owned(),
        license: object.license,
        kernel_version: object.version,
        kconfig: None,
        core_btf: None,
        maps,
        programs,
        code: Arc::new(Code {
            endian: object.endian,
            routines,
            section_names: object
                .sections
                .into_iter()
                .map(|section| section.name)
                .collect(),
            text,
            jump_tables,
            externs,
            exceptions: btf.as_deref().map(calls::exceptions).unwrap_or_default(),
            btf,
            ext,
            lines: Lines::default(),
        }),
    })
}

/// The object's BTF and .BTF.ext. Only an object that cannot do without them is refused for what
/// is wrong in them.
fn read_btf(object: &Object) -> Result<(Option<Btf>, Option<BtfExt>), Error> {
    let needed_for = [SectionKind::Maps, SectionKind::StructOps]
        .into_iter()
        .find_map(|kind| object.section_of(kind).map(|section| &section.name));
    let Some(section) = object.section_of(SectionKind::Btf) else {
        return match needed_for {
            Some(section) => Err(Error::NoBtf {
                what: format!("a section `{section}`"),
            }),
            None => Ok((None, None)),
        };
    };
    let data = BtfData::new(section.data.clone());
    // Pointers in BPF programs have 8 bytes, whatever the machine.
    let btf = match Btf::parse(data).and_then(|btf| btf.with_pointer_size(8)) {
        Ok(btf) => btf,
        Err(source) if needed_for.is_some() => {
            return Err(Error::btf("section `.BTF` is malformed")(source));
        }
        Err(source) => {
            log::warn!("section `.BTF` is malformed and passed over: {source}");
            return Ok((None, None));
        }
    };
    let Some(section) = object.section_of(SectionKind::BtfExt) else {
        return Ok((Some(btf), None));
    };
    match BtfExt::parse(BtfData::new(section.data.clone())) {
        Ok(ext) => Ok((Some(btf), Some(ext))),
        Err(source) if needed_for.is_some() => {
            Err(Error::btf("section `.BTF.ext` is malformed")(source))
        }
        Err(source) => {
            log::warn!("section `.BTF.ext` is malformed and passed over: {source}");
            Ok((Some(btf), None))
        }
    }
}

/// Finds the externs, and makes the object's BTF into what a kernel accepts.
fn prepare_btf(
    object: &Object,
    btf: Option<Btf>,
) -> Result<(Option<Arc<Btf>>, Vec<Extern>), Error> {
    let Some(btf) = btf else {
        return Ok((None, extern_::collect(object, None, &[])?));
    };
    let mut datasecs = extern_::datasecs(&btf)?;
    let externs = extern_::collect(object, Some(&btf), &datasecs)?;
    if datasecs.is_empty() {
        return Ok((Some(Arc::new(btf)), externs));
    }
    let edit = || Error::btf("the object's BTF, edited for the kernel");
    let mut builder = BtfBuilder::from_btf(&btf).map_err(edit())?;
    extern_::rewrite(&btf, &mut builder, &mut datasecs, &externs)?;
    place_variables(object, &btf, &mut builder, &mut datasecs)?;
    for mut section in datasecs {
        // Signed, as libbpf compares them.
        section
            .entries
            .sort_by_key(|entry| entry.offset.cast_signed());
        builder
            .set_datasec(section.id, section.size, &section.entries)
            .map_err(edit())?;
    }
    let btf = builder
        .finish()
        .and_then(|btf| btf.with_pointer_size(8))
        .map_err(edit())?;
    Ok((Some(Arc::new(btf)), externs))
}

/// The sizes in the file of those data sections to which BTF gives none.
fn sizes_of(object: &Object, datasecs: &[Datasec]) -> Vec<Option<u64>> {
    let unplaced = datasecs.iter().filter(|section| section.size == 0);
    let mut sizes: BTreeMap<_, Option<u64>> = unplaced
        .map(|section| (section.name.as_str(), None))
        .collect();
    for section in &object.sections {
        if let Some(size) = sizes.get_mut(section.name.as_str()) {
            // Of several with the same name, the first.
            size.get_or_insert(section.size);
        }
    }
    let size = |section: &Datasec| sizes.get(section.name.as_str()).copied().flatten();
    datasecs.iter().map(size).collect()
}

/// The compiler leaves sizes and offsets of data sections to whoever knows the symbols.
///
/// # Source
/// libbpf `btf_fixup_datasec`.
fn place_variables(
    object: &Object,
    btf: &Btf,
    builder: &mut BtfBuilder,
    datasecs: &mut [Datasec],
) -> Result<(), Error> {
    let symbols: HashMap<&str, &Symbol> = object
        .symbols
        .iter()
        .filter(|s| s.kind == SymbolKind::Object)
        .filter(|s| matches!(s.binding, Binding::Global | Binding::Weak))
        .map(|s| (s.name.as_str(), s))
        .collect();
    let sizes = sizes_of(object, datasecs);
    let sections = datasecs
        .iter_mut()
        .zip(sizes)
        .filter(|(s, _)| s.name != ".ksyms" && s.name != ".kconfig");
    for (section, size) in sections {
        let fail = |what: String| Error::Section {
            section: section.name.clone(),
            what,
        };
        let is_unplaced = section.size == 0;
        if is_unplaced {
            section.size = size
                .and_then(|size| u32::try_from(size).ok())
                .filter(|size| *size > 0)
                .ok_or_else(|| fail("BTF describes it, but the file has it not".into()))?;
        }
        for entry in &mut section.entries {
            let kind = btf.ty(entry.ty).map(|ty| ty.kind);
            let Ok(TypeKind::Var { linkage, .. }) = kind else {
                return Err(fail(format!("BTF type {} is not a variable", entry.ty.0)));
            };
            if linkage == Linkage::STATIC || linkage == Linkage::EXTERN {
                continue;
            }
            let name = btf
                .name(entry.ty)
                .map_err(Error::btf("a variable's name in BTF"))?;
            let symbol = symbols
                .get(name)
                .ok_or_else(|| fail(format!("the variable `{name}` has no symbol")))?;
            if is_unplaced {
                entry.offset = u32::try_from(symbol.value)
                    .map_err(|_| fail(format!("the variable `{name}` is past 4 GiB")))?;
            }
            if symbol.hidden {
                builder
                    .set_var_linkage(entry.ty, Linkage::STATIC)
                    .map_err(Error::btf("the object's BTF, edited for the kernel"))?;
            }
        }
    }
    Ok(())
}

/// The maps of `.maps`, by offset.
///
/// # Source
/// libbpf `bpf_object__init_user_btf_maps`.
fn declared_maps(object: &Object, btf: Option<&Btf>, relaxed: bool) -> Result<Vec<MapSpec>, Error> {
    let Some(section) = object.section_of(SectionKind::Maps) else {
        return Ok(Vec::new());
    };
    let no_btf = || Error::NoBtf {
        what: "a section `.maps`".to_owned(),
    };
    let btf = btf.ok_or_else(no_btf)?;
    let datasec = btf
        .find(".maps", purebpf_btf::Kind::Datasec)
        .and_then(|id| btf.ty(id).ok())
        .and_then(|ty| match ty.kind {
            TypeKind::Datasec { secinfos, .. } => Some(secinfos),
            _ => None,
        })
        .ok_or_else(no_btf)?;
    let mut maps = Vec::new();
    let mut arenas = 0usize;
    for entry in datasec.iter() {
        let name = btf
            .name(entry.ty)
            .map_err(Error::btf("a map's name in BTF"))?;
        let fail = |what: &str| Error::Map {
            map: name.to_owned(),
            what: what.to_owned(),
        };
        if name.is_empty() {
            return Err(fail("it has no name"));
        }
        let end = u64::from(entry.offset).saturating_add(entry.size.into());
        if end > section.size {
            return Err(fail("its definition reaches outside `.maps`"));
        }
        let context = |source| Error::btf(format!("map `{name}`: its definition in BTF"))(source);
        let TypeKind::Var { ty, linkage } = btf.ty(entry.ty).map_err(context)?.kind else {
            return Err(fail("its definition is not a variable"));
        };
        if linkage != Linkage::GLOBAL {
            return Err(fail("its definition is static; maps are global variables"));
        }
        let stripped = btf.skip_mods_and_typedefs(ty).map_err(context)?;
        let TypeKind::Struct(definition) = btf.ty(stripped).map_err(context)?.kind else {
            return Err(fail("its definition is not a struct"));
        };
        if definition.size > entry.size {
            return Err(fail("its definition is larger than its variable"));
        }
        let place = (section.index, u64::from(entry.offset));
        let map = MapSpec::from_btf(btf, definition, name, place, relaxed)?;
        if map.map_type == MapType::ARENA {
            arenas = arenas.saturating_add(1);
            if arenas > 1 {
                return Err(fail("it is a second arena; an object may have one"));
            }
        }
        maps.push(map);
    }
    Ok(maps)
}
