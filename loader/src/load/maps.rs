//! Maps: reused or created, filled, frozen, pinned.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use purebpf_btf::TypeId;
use purebpf_handles::attach::StructOps;
use purebpf_handles::pin::check_trusted;
use purebpf_handles::{Map, MapAttributes, UpdateFlags};
use purebpf_insn::{MapFlags, MapType};
use purebpf_plan::{MapPlan, PinPlan, PinPolicy, Plan, SlotPlan};
use purebpf_syscall::Errno;

use super::btf::may_be_refused;
use super::{Session, hints};
use crate::Error;
use crate::object::Loaded;

/// Creates every map of the plan; a hole is one that is not to be created.
///
/// # Source
/// libbpf `bpf_object__create_maps`.
pub(crate) fn create(session: &mut Session, plan: &Plan) -> Result<Vec<Option<Map>>, Error> {
    let mut maps: Vec<Option<Map>> = Vec::with_capacity(plan.maps.len());
    let mut created = Vec::new();
    for map_plan in &plan.maps {
        maps.push(
            match map_plan
                .autocreate
                .then(|| one(session, map_plan))
                .transpose()?
            {
                Some(Origin::Created(map)) => {
                    created.push((map_plan, map.clone()));
                    Some(map)
                }
                Some(Origin::Reused(map)) => Some(map),
                None => None,
            },
        );
    }
    // A map may be the value of one that comes before it.
    for (map_plan, map) in created {
        fill_map_slots(map_plan, &map, &maps)?;
    }
    Ok(maps)
}

/// A map that is there already is left as it is, values and all.
enum Origin {
    Created(Map),
    Reused(Map),
}

pub(super) fn failed(
    map: &str,
    what: &'static str,
) -> impl FnOnce(purebpf_handles::Error) -> Error + use<> {
    let map = map.to_owned();
    move |source| {
        let hint = hints::of_map(source.errno());
        Error::Map {
            map,
            what,
            hint,
            source,
        }
    }
}

fn one(session: &mut Session, plan: &MapPlan) -> Result<Origin, Error> {
    if let Some(map) = session.given.get(&plan.name) {
        return Ok(Origin::Reused(map.clone().with_name(&plan.name)));
    }
    let Some(path) = pin_path(session, plan)? else {
        return create_one(session, plan).map(Origin::Created);
    };
    if plan.pin_policy == PinPolicy::Replace {
        let map = create_one(session, plan)?;
        session.pins.replace_at_end(&map, path);
        return Ok(Origin::Created(map));
    }
    let mut is_second = false;
    loop {
        if let Some(map) = reuse(plan, &path)? {
            return Ok(Origin::Reused(map));
        }
        let map = create_one(session, plan)?;
        match map.pin(&path) {
            Ok(()) => {
                session.pins.add(&map);
                return Ok(Origin::Created(map));
            }
            // Another process pinned one after the look; then that is the map.
            Err(error) if error.errno() == Some(Errno::EEXIST) && !is_second => is_second = true,
            Err(error) => return Err(failed(&plan.name, "pinning it")(error)),
        }
    }
}

fn create_one(session: &Session, plan: &MapPlan) -> Result<Map, Error> {
    let map = make(session, plan)?;
    populate(plan, &map)?;
    Ok(map)
}

fn pin_path(session: &Session, plan: &MapPlan) -> Result<Option<PathBuf>, Error> {
    let path = match &plan.pin {
        None => return Ok(None),
        Some(PinPlan::At(path)) => path.clone(),
        Some(PinPlan::ByName) => session.pin_root.join(&plan.name),
    };
    if session.trusted_pins {
        check_trusted(&path).map_err(failed(&plan.name, "trusting its pin"))?;
    }
    Ok(Some(path))
}

/// The map that is pinned there, if one is.
fn reuse(plan: &MapPlan, path: &Path) -> Result<Option<Map>, Error> {
    let may_be_missing = plan.pin_policy == PinPolicy::ReuseOrCreate;
    let map = match Map::from_pin(path) {
        Ok(map) => map,
        Err(error) if error.errno() == Some(Errno::ENOENT) && may_be_missing => return Ok(None),
        Err(error) => return Err(failed(&plan.name, "opening its pin")(error)),
    };
    compatible(plan, &map)?;
    Ok(Some(map.with_name(&plan.name)))
}

/// Whether a map can stand for the one that is planned; the first difference is the error.
fn compatible(plan: &MapPlan, map: &Map) -> Result<(), Error> {
    let mut found = map.flags();
    if matches!(map.map_type(), MapType::DEVMAP | MapType::DEVMAP_HASH) {
        // The kernel adds it by itself.
        found = (found - MapFlags::RDONLY_PROG) | (plan.flags & MapFlags::RDONLY_PROG);
    }
    let number = |found: u64, expected: u64| (found.to_string(), expected.to_string());
    let rows = [
        (
            "type",
            (map.map_type().to_string(), plan.map_type.to_string()),
        ),
        (
            "key_size",
            number(map.key_size().into(), plan.key_size.into()),
        ),
        (
            "value_size",
            number(map.value_size().into(), plan.value_size.into()),
        ),
        (
            "max_entries",
            number(map.max_entries().into(), plan.max_entries.into()),
        ),
        (
            "flags",
            number(found.bits().into(), plan.flags.bits().into()),
        ),
        ("map_extra", number(map.map_extra(), plan.map_extra)),
    ];
    for (field, (found, expected)) in rows {
        if found != expected {
            return Err(Error::Incompatible {
                map: plan.name.clone(),
                field,
                found,
                expected,
            });
        }
    }
    Ok(())
}

fn attributes(session: &Session, plan: &MapPlan) -> MapAttributes {
    let attributes = MapAttributes::new(
        plan.map_type,
        plan.key_size,
        plan.value_size,
        plan.max_entries,
    );
    let has_types = plan.key_type != TypeId::VOID || plan.value_type != TypeId::VOID;
    MapAttributes {
        name: plan.name.clone(),
        kernel_name: Some(plan.kernel_name.clone()),
        flags: plan.flags,
        map_extra: plan.map_extra,
        numa_node: plan.numa_node,
        ifindex: plan.ifindex,
        exclusive_program_hash: plan.exclusive_hash.map_or_else(Vec::new, Into::into),
        token: session.kernel.token().cloned(),
        btf: session.btf.clone().filter(|_| has_types),
        btf_key_type_id: plan.key_type.0,
        btf_value_type_id: plan.value_type.0,
        ..attributes
    }
}

fn make(session: &Session, plan: &MapPlan) -> Result<Map, Error> {
    let mut attributes = attributes(session, plan);
    if let Some(ops) = &plan.struct_ops {
        attributes.btf = session.btf.clone();
        attributes.btf_vmlinux_value_type_id = ops.value.id.0;
        attributes.value_type_btf = match &ops.value.module {
            Some(module) => Some(session.kernel.module(module)?),
            None => None,
        };
        return Map::create(&attributes).map_err(failed(&plan.name, "creating it"));
    }
    if attributes.btf.is_none() {
        attributes.btf_key_type_id = 0;
        attributes.btf_value_type_id = 0;
    }
    if let Some(inner) = &plan.inner {
        attributes.inner_map = Some(make(session, inner)?);
    }
    let created = match Map::create(&attributes) {
        // BTF is a nicety of a map, which older kernels or other types refuse; a right that is missing
        // is missing with and without it.
        Err(error)
            if attributes.btf.is_some()
                && may_be_refused(&error)
                && error.errno() != Some(Errno::EPERM) =>
        {
            attributes.btf = None;
            log::info!("map `{}` is created without its BTF: {error}", plan.name);
            attributes.btf_key_type_id = 0;
            attributes.btf_value_type_id = 0;
            Map::create(&attributes)
        }
        created => created,
    };
    created.map_err(failed(&plan.name, "creating it"))
}

/// Gives a map of variables its values, and takes the right to write away where they are constant.
fn populate(plan: &MapPlan, map: &Map) -> Result<(), Error> {
    if plan.map_type == MapType::ARENA {
        return map_arena(plan, map);
    }
    if !plan.origin.is_internal() {
        return Ok(());
    }
    if let Some(contents) = &plan.contents {
        map.update(&0u32.to_ne_bytes(), contents, UpdateFlags::ANY)
            .map_err(failed(&plan.name, "setting its variables"))?;
    }
    if plan.freeze {
        match map.freeze() {
            // Kernels before 5.2 have no such thing.
            Err(error) if error.errno() == Some(Errno::EINVAL) => {}
            result => result.map_err(failed(&plan.name, "freezing it"))?,
        }
    }
    Ok(())
}

/// Gives an arena its address in user space, which programs need, and its variables their values.
fn map_arena(plan: &MapPlan, map: &Map) -> Result<(), Error> {
    let memory = map.memory().map_err(failed(&plan.name, "mapping it"))?;
    if let Some(contents) = &plan.contents {
        let start = usize::try_from(plan.contents_offset).unwrap_or(usize::MAX);
        memory
            .write(start, contents)
            .map_err(failed(&plan.name, "setting its variables"))?;
    }
    Ok(())
}

fn fill_map_slots(plan: &MapPlan, map: &Map, maps: &[Option<Map>]) -> Result<(), Error> {
    for (index, slot) in &plan.slots {
        let SlotPlan::Map(value) = slot else { continue };
        if let Some(Some(value)) = maps.get(*value) {
            put(map, *index, value.as_fd()).map_err(failed(&plan.name, "putting a map into it"))?;
        }
    }
    Ok(())
}

/// Slots take file descriptors.
fn put(map: &Map, slot: u32, value: BorrowedFd<'_>) -> Result<(), purebpf_handles::Error> {
    map.update(
        &slot.to_ne_bytes(),
        &value.as_raw_fd().to_ne_bytes(),
        UpdateFlags::ANY,
    )
}

/// The values of struct_ops maps, with the fds of their programs, ready to be attached.
pub(crate) fn struct_ops(
    plan: &Plan,
    maps: &[Option<Map>],
    programs: &[Option<Loaded>],
) -> Result<IndexMap<String, StructOps>, Error> {
    let mut all = IndexMap::new();
    for (map_plan, map) in plan.maps.iter().zip(maps) {
        let (Some(ops), Some(map)) = (&map_plan.struct_ops, map) else {
            continue;
        };
        let mut value = map_plan.contents.clone().unwrap_or_default();
        for (offset, program) in &ops.programs {
            let Some(Some(loaded)) = programs.get(*program) else {
                continue;
            };
            let fd = u64::from(loaded.program.as_fd().as_raw_fd().cast_unsigned());
            let start = usize::try_from(*offset).unwrap_or(usize::MAX);
            if let Some(place) = value.get_mut(start..start.saturating_add(8)) {
                place.copy_from_slice(&fd.to_ne_bytes());
            }
        }
        let ops = StructOps::new(map, value).map_err(failed(&map_plan.name, "laying it out"))?;
        all.insert(map_plan.name.clone(), ops);
    }
    Ok(all)
}

/// Puts programs into the slots of program arrays, once there are programs.
pub(crate) fn fill_program_slots(
    plan: &Plan,
    maps: &[Option<Map>],
    programs: &[Option<Loaded>],
) -> Result<(), Error> {
    for (map_plan, map) in plan.maps.iter().zip(maps) {
        let Some(map) = map else { continue };
        for (index, slot) in &map_plan.slots {
            let SlotPlan::Program(value) = slot else {
                continue;
            };
            // A program that was not to be loaded leaves a hole.
            if let Some(Some(loaded)) = programs.get(*value) {
                put(map, *index, loaded.program.as_fd())
                    .map_err(failed(&map_plan.name, "putting a program into it"))?;
            }
        }
    }
    Ok(())
}
