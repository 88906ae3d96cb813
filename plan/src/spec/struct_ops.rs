//! struct_ops maps as the file declares them: a struct with functions that the kernel calls.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use purebpf_btf::{Btf, Kind, TypeId, TypeKind};
use purebpf_elf::{Object, Section, SectionKind};
use purebpf_insn::{MapFlags, MapType, ProgramType};

use super::code::Routine;
use super::global::Plain;
use super::map::{MapOrigin, MapSpec};
use super::object::names;
use super::program::ProgramSpec;
use crate::Error;

/// The struct of a struct_ops map, editable by member until it is loaded.
#[derive(Clone, Debug)]
pub struct StructOpsSpec {
    name: String,
    btf: Arc<Btf>,
    /// The struct, in the object's BTF.
    pub(crate) ty: TypeId,
    /// Its bytes; those of pointers are zeros.
    pub(crate) contents: Vec<u8>,
    /// Which members are programs: by member index, the program's name.
    pub(crate) programs: IndexMap<usize, String>,
    /// Programs that the file put into members, and that were taken out since.
    pub(crate) released: Vec<String>,
}

impl StructOpsSpec {
    fn fail(&self, what: String) -> Error {
        Error::Map {
            map: self.name.clone(),
            what,
        }
    }

    /// The struct's name in the object, which may have a flavor (`ops___new`).
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.btf.name(self.ty).unwrap_or_default()
    }

    /// Its members, by name.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        let kind = self.btf.ty(self.ty).map(|ty| ty.kind);
        let members = match kind {
            Ok(TypeKind::Struct(composite)) => Some(composite.members()),
            _ => None,
        };
        let members = members.into_iter().flatten();
        members.filter_map(|member| self.btf.name_at(member.name_off).ok())
    }

    /// Index, type, and place in bytes of a member.
    fn member(&self, name: &str) -> Result<(usize, TypeId, std::ops::Range<usize>), Error> {
        let missing = || Error::NotFound {
            kind: "member",
            name: name.to_owned(),
            known: names(self.members()),
        };
        let context = |source| Error::btf(format!("map `{}`: `{name}`", self.name))(source);
        let TypeKind::Struct(composite) = self.btf.ty(self.ty).map_err(context)?.kind else {
            return Err(missing());
        };
        let mut members = composite.members().iter().enumerate();
        let (index, member) = members
            .find(|(_, member)| self.btf.name_at(member.name_off).is_ok_and(|n| n == name))
            .ok_or_else(missing)?;
        if member.bitfield_size != 0 || member.bit_offset % 8 != 0 {
            return Err(self.fail(format!("its member `{name}` is a bit field")));
        }
        let size = self.btf.resolve_size(member.ty).map_err(context)?;
        let start = usize::try_from(member.bit_offset / 8).ok();
        let range = start.and_then(|start| {
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            (end <= self.contents.len()).then_some(start..end)
        });
        let range = range.ok_or_else(|| self.fail(format!("its member `{name}` is outside it")))?;
        Ok((index, member.ty, range))
    }

    /// The bytes of a member, as they will be given to the kernel.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such member.
    pub fn get(&self, member: &str) -> Result<&[u8], Error> {
        let (_, _, range) = self.member(member)?;
        Ok(self.contents.get(range).unwrap_or_default())
    }

    /// Sets a member that is no pointer: a number, or an array of bytes as long as the member.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such member, [`Error::Map`] if it has another size, or is
    /// a pointer.
    pub fn set(&mut self, member: &str, value: impl Plain) -> Result<(), Error> {
        let bytes = bytemuck::bytes_of(&value);
        let (_, ty, range) = self.member(member)?;
        if is_pointer(&self.btf, ty) {
            return Err(self.fail(format!("its member `{member}` is a pointer")));
        }
        if bytes.len() != range.len() {
            return Err(self.fail(format!(
                "its member `{member}` has {} bytes, the value {}",
                range.len(),
                bytes.len()
            )));
        }
        if let Some(place) = self.contents.get_mut(range) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// The program that a member is set to.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such member.
    pub fn program(&self, member: &str) -> Result<Option<&str>, Error> {
        let (index, ..) = self.member(member)?;
        Ok(self.programs.get(&index).map(String::as_str))
    }

    /// Sets a member to a struct_ops program of the object, or to nothing. A program that is no
    /// member any more is not loaded.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such member, [`Error::Map`] if it is no function.
    pub fn set_program(&mut self, member: &str, program: Option<&str>) -> Result<(), Error> {
        let (index, ty, _) = self.member(member)?;
        if !is_function_pointer(&self.btf, ty) {
            return Err(self.fail(format!("its member `{member}` is no function")));
        }
        let old = match program {
            Some(program) => self.programs.insert(index, program.to_owned()),
            None => self.programs.shift_remove(&index),
        };
        self.released.extend(old);
        Ok(())
    }
}

/// One map for each variable of a struct_ops section.
///
/// # Source
/// libbpf `init_struct_ops_maps`.
pub(crate) fn maps(object: &Object, btf: Option<&Arc<Btf>>) -> Result<Vec<MapSpec>, Error> {
    let mut maps = Vec::new();
    for section in object
        .sections
        .iter()
        .filter(|s| s.kind == SectionKind::StructOps)
    {
        let no_btf = || Error::NoBtf {
            what: format!("a section `{}`", section.name),
        };
        let btf = btf.ok_or_else(no_btf)?;
        let id = btf.find(&section.name, Kind::Datasec).ok_or_else(no_btf)?;
        let TypeKind::Datasec { secinfos, .. } = btf.ty(id).map_err(Error::btf("struct_ops"))?.kind
        else {
            return Err(no_btf());
        };
        for entry in secinfos.iter() {
            maps.push(map(section, btf, entry.ty, entry.offset)?);
        }
    }
    Ok(maps)
}

fn map(section: &Section, btf: &Arc<Btf>, var: TypeId, offset: u32) -> Result<MapSpec, Error> {
    let name = btf
        .name(var)
        .map_err(Error::btf("a struct_ops variable's name"))?;
    let fail = |what: &str| Error::Map {
        map: name.to_owned(),
        what: what.to_owned(),
    };
    let context = |source| Error::btf(format!("map `{name}`: its type"))(source);
    let TypeKind::Var { ty, .. } = btf.ty(var).map_err(context)?.kind else {
        return Err(fail("it is not a variable"));
    };
    let ty = btf.skip_mods_and_typedefs(ty).map_err(context)?;
    let TypeKind::Struct(composite) = btf.ty(ty).map_err(context)?.kind else {
        return Err(fail("it is not a struct"));
    };
    if btf.name(ty).map_err(context)?.is_empty() {
        return Err(fail("its struct has no name"));
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let size = usize::try_from(composite.size).unwrap_or(usize::MAX);
    let data = start
        .checked_add(size)
        .and_then(|end| section.data.get(start..end));
    let data = data.ok_or_else(|| fail("it reaches outside its section"))?;

    let mut map = MapSpec::new(name, MapOrigin::StructOps, (section.index, offset.into()));
    map.map_type = MapType::STRUCT_OPS;
    map.key_size = 4;
    map.value_size = composite.size;
    map.max_entries = 1;
    let (section_name, is_optional) = match section.name.strip_prefix('?') {
        Some(rest) => (rest, true),
        None => (section.name.as_str(), false),
    };
    if section_name == ".struct_ops.link" {
        map.flags |= MapFlags::LINK;
    }
    map.autocreate = !is_optional;
    map.struct_ops = Some(StructOpsSpec {
        name: name.to_owned(),
        btf: Arc::clone(btf),
        ty,
        contents: data.to_vec(),
        programs: IndexMap::new(),
        released: Vec::new(),
    });
    Ok(map)
}

/// Finds out which members are programs, from the relocations of the sections.
///
/// # Source
/// libbpf `bpf_object__collect_st_ops_relos`.
pub(crate) fn collect(
    object: &Object,
    routines: &[Routine],
    btf: Option<&Btf>,
    maps: &mut IndexMap<String, MapSpec>,
    programs: &IndexMap<String, ProgramSpec>,
) -> Result<(), Error> {
    let Some(btf) = btf else { return Ok(()) };
    let functions: HashMap<(usize, usize), &str> = routines
        .iter()
        .map(|Routine { function: f, .. }| ((f.section, f.insn_offset), f.name.as_str()))
        .collect();
    for table in &object.relocations {
        let Some(section) = object.sections.get(table.target) else {
            continue;
        };
        if section.kind != SectionKind::StructOps {
            continue;
        }
        for entry in &table.entries {
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
            let place = symbol.section().and_then(|section| {
                let insn = usize::try_from(symbol.value / 8).ok()?;
                symbol.value.is_multiple_of(8).then_some((section, insn))
            });
            let program = place
                .and_then(|place| functions.get(&place))
                .ok_or_else(|| fail("a member is set to what is no program"))?;
            let is_struct_ops = |p: &ProgramSpec| p.program_type == ProgramType::STRUCT_OPS;
            if !programs.get(*program).is_some_and(is_struct_ops) {
                return Err(fail("a member is set to a program of another section"));
            }
            let map = maps
                .values_mut()
                .find(|map| map.covers(section.index, entry.offset))
                .ok_or_else(|| fail("a relocation is in no variable"))?;
            let at = entry.offset.saturating_sub(map.place.1);
            let member = function_member(btf, map, at)?;
            if let Some(ops) = &mut map.struct_ops {
                ops.programs.insert(member, (*program).to_owned());
            }
        }
    }
    Ok(())
}

/// The member at an offset, which has to be a pointer to a function.
fn function_member(btf: &Btf, map: &MapSpec, offset: u64) -> Result<usize, Error> {
    let fail = || {
        map.fail(format!(
            "at offset {offset} it has no member that is a function"
        ))
    };
    let ty = map.struct_ops.as_ref().ok_or_else(fail)?.ty;
    let TypeKind::Struct(composite) = btf.ty(ty).map_err(|_| fail())?.kind else {
        return Err(fail());
    };
    let is_there = |bits: u32| u64::from(bits) == offset.saturating_mul(8);
    let (index, member) = composite
        .members()
        .iter()
        .enumerate()
        .find(|(_, member)| is_there(member.bit_offset))
        .ok_or_else(fail)?;
    match is_function_pointer(btf, member.ty) {
        true => Ok(index),
        false => Err(fail()),
    }
}

fn is_pointer(btf: &Btf, ty: TypeId) -> bool {
    let kind = btf.skip_mods_and_typedefs(ty).and_then(|ty| btf.ty(ty));
    kind.is_ok_and(|ty| matches!(ty.kind, TypeKind::Ptr(_)))
}

pub(crate) fn is_function_pointer(btf: &Btf, ty: TypeId) -> bool {
    let strip = |ty| {
        let ty = btf.skip_mods_and_typedefs(ty).ok()?;
        btf.ty(ty).ok().map(|ty| ty.kind)
    };
    let Some(TypeKind::Ptr(target)) = strip(ty) else {
        return false;
    };
    matches!(strip(target), Some(TypeKind::FuncProto { .. }))
}
