//! struct_ops: the object's struct laid out as the running kernel has it.

use std::collections::HashMap;
use std::sync::Arc;

use purebpf_btf::{Btf, Kind, Member, TypeId, TypeKind, essential_name};
use purebpf_insn::{AttachType, ProgramType};

use crate::plan::{KernelType, MapPlan, StructOpsPlan};
use crate::spec::struct_ops::{StructOpsSpec, is_function_pointer};
use crate::{Error, MapSpec, ModuleBtf, ObjectSpec, ProgramSpec, TargetKernel};

/// What the kernel calls the map's value around a struct.
const VALUE_PREFIX: &str = "bpf_struct_ops_";

/// What a program is loaded for: the struct, and the index of the member in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) target: KernelType,
    pub(super) attach_type: AttachType,
}

/// The roles of programs, and which of them are loaded, whatever they were set to.
#[derive(Debug, Default)]
pub(super) struct Roles {
    roles: HashMap<String, Role>,
    autoload: HashMap<String, bool>,
}

impl Roles {
    pub(super) fn get(&self, program: &str) -> Option<&Role> {
        self.roles.get(program)
    }

    /// Whether a program is loaded: as the maps that refer to it need, or else as it says itself.
    pub(super) fn autoload(&self, program: &ProgramSpec) -> bool {
        self.autoload
            .get(&program.name)
            .copied()
            .unwrap_or(program.autoload)
    }
}

/// Where a struct of the kernel was found.
struct Found {
    btf: Arc<Btf>,
    module: Option<Arc<str>>,
    ty: TypeId,
    value: TypeId,
}

/// Binds every struct_ops map that is to be created to the kernel's struct.
///
/// # Source
/// libbpf `bpf_map__init_kern_struct_ops`, `bpf_object_adjust_struct_ops_autoload`.
pub(super) fn bind(
    spec: &ObjectSpec,
    kernel: &dyn TargetKernel,
    plans: &mut [MapPlan],
) -> Result<Roles, Error> {
    let mut roles = Roles::default();
    for (map, plan) in spec.maps.values().zip(plans) {
        let Some(ops) = &map.struct_ops else { continue };
        if map.autocreate {
            Binder {
                spec,
                kernel,
                map,
                ops,
            }
            .bind(plan, &mut roles.roles)?;
        }
        for program in &ops.released {
            roles.autoload.entry(program.clone()).or_insert(false);
        }
        for program in ops.programs.values() {
            let autoload = roles.autoload.entry(program.clone()).or_insert(false);
            *autoload |= map.autocreate;
        }
    }
    Ok(roles)
}

struct Binder<'a> {
    spec: &'a ObjectSpec,
    kernel: &'a dyn TargetKernel,
    map: &'a MapSpec,
    ops: &'a StructOpsSpec,
}

impl<'a> Binder<'a> {
    fn bind(&self, plan: &mut MapPlan, roles: &mut HashMap<String, Role>) -> Result<(), Error> {
        let map = self.map;
        let local = self
            .spec
            .btf()
            .ok_or_else(|| map.fail("the object has no BTF"))?;
        let context = |source| Error::btf(format!("map `{}`: its type", map.name))(source);
        let name = local.name(self.ops.ty).map_err(context)?;
        let found = self.find(essential_name(name))?;
        let TypeKind::Struct(ours) = local.ty(self.ops.ty).map_err(context)?.kind else {
            return Err(map.fail("its type is not a struct"));
        };
        let TypeKind::Struct(theirs) = found.btf.ty(found.ty).map_err(context)?.kind else {
            return Err(map.fail("the kernel's type is not a struct"));
        };
        let TypeKind::Struct(value) = found.btf.ty(found.value).map_err(context)?.kind else {
            return Err(map.fail("the kernel's value is not a struct"));
        };
        let data = value
            .members()
            .iter()
            .find(|member| member.ty == found.ty)
            .ok_or_else(|| map.fail("the kernel's value does not hold the struct"))?;
        let mut by_name = HashMap::new();
        for (index, member) in theirs.members().iter().enumerate() {
            by_name
                .entry(found.btf.name_at(member.name_off).map_err(context)?)
                .or_insert((index, member));
        }
        let size = usize::try_from(value.size).unwrap_or(0);
        let mut layout = Layout {
            bytes: vec![0; size],
            programs: Vec::new(),
        };
        for (index, member) in ours.members().iter().enumerate() {
            let name = local.name_at(member.name_off).map_err(context)?;
            let bytes = self.bytes(local, member, name)?;
            let Some((place, theirs)) = by_name.get(name) else {
                let is_set = bytes.iter().any(|byte| *byte != 0);
                if is_set || self.ops.programs.contains_key(&index) {
                    return Err(
                        map.fail(format!("the kernel has no member `{name}`, which is set"))
                    );
                }
                // Zeros are what a kernel without it does.
                continue;
            };
            let start = data.bit_offset.saturating_add(theirs.bit_offset) / 8;
            let pair = Pair {
                local,
                ours: member,
                found: &found,
                theirs: *theirs,
                name,
            };
            self.member(index, &pair, bytes, start, &mut layout)?;
            let program = self.ops.programs.get(&index);
            if let Some(program) = program {
                let target = KernelType {
                    module: found.module.clone(),
                    id: found.ty,
                };
                let attach_type = AttachType(u32::try_from(*place).unwrap_or(u32::MAX));
                let role = Role {
                    target,
                    attach_type,
                };
                if roles
                    .insert(program.clone(), role.clone())
                    .is_some_and(|old| old != role)
                {
                    return Err(map.fail(format!(
                        "its member `{name}` and another one want program `{program}` differently"
                    )));
                }
            }
        }
        plan.value_size = value.size;
        plan.value_type = TypeId::VOID;
        plan.contents = Some(layout.bytes);
        plan.struct_ops = Some(StructOpsPlan {
            value: KernelType {
                module: found.module,
                id: found.value,
            },
            programs: layout.programs,
        });
        Ok(())
    }

    fn find(&self, name: &str) -> Result<Found, Error> {
        let value_name = format!("{VALUE_PREFIX}{name}");
        let missing = || {
            self.map
                .fail(format!("the kernel has no struct_ops `{name}`"))
        };
        let btf = self.kernel.btf()?;
        if let Some(value) = btf.find(&value_name, Kind::Struct) {
            let ty = btf.find(name, Kind::Struct).ok_or_else(missing)?;
            return Ok(Found {
                btf,
                module: None,
                ty,
                value,
            });
        }
        for ModuleBtf { name: module, btf } in self.kernel.modules()?.iter() {
            if let Some(value) = btf.find_own(&value_name, Kind::Struct) {
                let ty = btf.find(name, Kind::Struct).ok_or_else(missing)?;
                let module = Some(Arc::clone(module));
                return Ok(Found {
                    btf: Arc::clone(btf),
                    module,
                    ty,
                    value,
                });
            }
        }
        Err(missing())
    }

    /// The bytes of a member in the file.
    fn bytes(&self, btf: &Btf, member: Member, name: &str) -> Result<&'a [u8], Error> {
        let context =
            |source| Error::btf(format!("map `{}`: its member `{name}`", self.map.name))(source);
        let size = btf.resolve_size(member.ty).map_err(context)?;
        let start = usize::try_from(member.bit_offset / 8).ok();
        let ops = self.ops;
        start
            .zip(usize::try_from(size).ok())
            .and_then(|(start, size)| ops.contents.get(start..start.checked_add(size)?))
            .ok_or_else(|| {
                self.map
                    .fail(format!("its member `{name}` is outside of it"))
            })
    }

    fn member(
        &self,
        index: usize,
        pair: &Pair<'_>,
        bytes: &[u8],
        start: u32,
        layout: &mut Layout,
    ) -> Result<(), Error> {
        let name = pair.name;
        let fail = |what: &str| self.map.fail(format!("its member `{name}` {what}"));
        if pair.ours.bitfield_size != 0 || pair.theirs.bitfield_size != 0 {
            return Err(fail("is a bit field"));
        }
        if !pair.same_kind().unwrap_or(false) {
            return Err(fail("is of another kind in the kernel"));
        }
        if let Some(program) = self.ops.programs.get(&index) {
            if !is_function_pointer(&pair.found.btf, pair.theirs.ty) {
                return Err(fail("is no function in the kernel"));
            }
            let found = self.spec.programs.get_full(program);
            let (program, ..) = found
                .filter(|(_, _, spec)| spec.program_type == ProgramType::STRUCT_OPS)
                .ok_or_else(|| {
                    fail(&format!(
                        "is `{program}`, which is no struct_ops program of the object"
                    ))
                })?;
            layout.programs.push((start, program));
            return Ok(());
        }
        if pair.is_pointer() {
            return match bytes.iter().all(|byte| *byte == 0) {
                true => Ok(()),
                false => Err(fail("is a pointer to what is no program")),
            };
        }
        let size = pair.found.btf.resolve_size(pair.theirs.ty).ok();
        if size.and_then(|size| usize::try_from(size).ok()) != Some(bytes.len()) {
            return Err(fail("is of another size in the kernel"));
        }
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let place = layout
            .bytes
            .get_mut(start..start.saturating_add(bytes.len()));
        place
            .ok_or_else(|| fail("is outside of the kernel's struct"))?
            .copy_from_slice(bytes);
        Ok(())
    }
}

/// The value in the kernel's layout, and where in it programs go.
struct Layout {
    bytes: Vec<u8>,
    programs: Vec<(u32, usize)>,
}

/// The same member on both sides.
struct Pair<'a> {
    local: &'a Btf,
    ours: Member,
    found: &'a Found,
    theirs: Member,
    name: &'a str,
}

fn kind(btf: &Btf, ty: TypeId) -> Option<Kind> {
    let ty = btf.skip_mods_and_typedefs(ty).ok()?;
    btf.ty(ty).ok()?.kind.id()
}

impl Pair<'_> {
    fn same_kind(&self) -> Option<bool> {
        Some(kind(self.local, self.ours.ty)? == kind(&self.found.btf, self.theirs.ty)?)
    }

    fn is_pointer(&self) -> bool {
        kind(self.local, self.ours.ty) == Some(Kind::Ptr)
    }
}
