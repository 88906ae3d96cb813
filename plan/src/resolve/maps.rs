//! Attributes of maps as this kernel takes them.

use purebpf_btf::TypeId;
use purebpf_insn::{Endian, MapFlags, MapType, opcode};
use sha2::{Digest as _, Sha256};

use super::externs::Externs;
use crate::plan::{Code, MapPlan, PinPlan, ProgramPlan, SlotPlan};
use crate::spec::map::ring_size;
use crate::{Error, Feature, MapOrigin, MapSpec, ObjectSpec, Slot, TargetKernel};

/// Types for which the kernel refuses BTF of keys and values.
const WITHOUT_BTF: &[MapType] = &[
    MapType::PERF_EVENT_ARRAY,
    MapType::CGROUP_ARRAY,
    MapType::STACK_TRACE,
    MapType::ARRAY_OF_MAPS,
    MapType::HASH_OF_MAPS,
    MapType::DEVMAP,
    MapType::DEVMAP_HASH,
    MapType::CPUMAP,
    MapType::XSKMAP,
    MapType::SOCKMAP,
    MapType::SOCKHASH,
    MapType::QUEUE,
    MapType::STACK,
    MapType::ARENA,
];

/// Plans every map of the object.
///
/// # Source
/// libbpf `bpf_object__create_map`.
pub(super) fn plan(
    spec: &ObjectSpec,
    kernel: &dyn TargetKernel,
    externs: &Externs,
) -> Result<Vec<MapPlan>, Error> {
    spec.maps
        .values()
        .map(|map| {
            let mut plan = attributes(map, kernel)?;
            if map.origin == MapOrigin::Kconfig {
                plan.contents = Some(externs.config.clone());
            }
            plan.slots = slots(spec, map)?;
            Ok(plan)
        })
        .collect()
}

fn attributes(map: &MapSpec, kernel: &dyn TargetKernel) -> Result<MapPlan, Error> {
    let is_internal = map.origin.is_internal();
    let mut flags = map.flags;
    if is_internal && !kernel.has(Feature::ArrayMmap) {
        flags -= MapFlags::MMAPABLE;
    }
    // A ring buffer has no elements: its value type, which libbpf would let the kernel refuse,
    // says what its records are.
    let is_ring = matches!(map.map_type, MapType::RINGBUF | MapType::USER_RINGBUF);
    let has_btf = !is_ring && !WITHOUT_BTF.contains(&map.map_type);
    let btf = |ty| if has_btf { ty } else { TypeId::VOID };
    Ok(MapPlan {
        name: map.name.clone(),
        kernel_name: map.kernel_name.clone(),
        map_type: map.map_type,
        key_size: map.key_size,
        value_size: if is_ring && !map.value_type.is_void() {
            0
        } else {
            map.value_size
        },
        max_entries: entries(map, kernel)?,
        flags,
        map_extra: map.map_extra,
        numa_node: map.numa_node,
        ifindex: map.ifindex,
        key_type: btf(map.key_type),
        value_type: btf(map.value_type),
        exclusive_hash: None,
        inner: match &map.inner {
            Some(inner) => Some(Box::new(attributes(inner, kernel)?)),
            None => None,
        },
        autocreate: map.autocreate && (!is_internal || kernel.has(Feature::GlobalData)),
        origin: map.origin,
        contents: map.contents.clone(),
        contents_offset: arena_offset(map, kernel)?,
        freeze: map.origin.is_constant(),
        slots: Vec::new(),
        pin: match &map.pin_path {
            Some(path) => Some(PinPlan::At(path.clone())),
            None => map.pin_by_name.then_some(PinPlan::ByName),
        },
        pin_policy: map.pin_policy,
        struct_ops: None,
    })
}

/// Tells every map that is for one program alone which program that is.
///
/// # Source
/// libbpf `bpf_object__create_map`, `bpf_prog_compute_hash`.
pub(super) fn exclude(
    spec: &ObjectSpec,
    plans: &mut [MapPlan],
    programs: &[ProgramPlan],
) -> Result<(), Error> {
    for (map, plan) in spec.maps.values().zip(plans) {
        let Some(name) = map.exclusive_program.as_deref().filter(|_| plan.autocreate) else {
            continue;
        };
        let program = programs.iter().find(|program| program.name == name);
        let program = program.ok_or_else(|| {
            map.fail(format!(
                "it is for program `{name}`, which the object has not"
            ))
        })?;
        let code = program.code.as_ref().map_err(Clone::clone)?;
        plan.exclusive_hash = Some(hash(code, spec.code.endian));
    }
    Ok(())
}

/// What the kernel knows a program by: SHA-256 of its instructions, without what names a map.
fn hash(code: &Code, endian: Endian) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut is_second_half = false;
    for insn in &code.insns {
        let mut insn = *insn;
        let is_map = insn.is_ld_imm64()
            && matches!(insn.src(), opcode::PSEUDO_MAP_FD | opcode::PSEUDO_MAP_VALUE);
        if is_map || is_second_half {
            insn.imm = 0;
        }
        is_second_half = is_map;
        hash.update(insn.to_bytes(endian));
    }
    hash.finalize().into()
}

/// Where the variables of an arena begin: at its end, so that address 0 stays invalid, on kernels
/// that take such offsets.
///
/// # Source
/// libbpf `bpf_object__relocate`.
fn arena_offset(map: &MapSpec, kernel: &dyn TargetKernel) -> Result<u32, Error> {
    let Some(contents) = map
        .contents
        .as_ref()
        .filter(|_| map.map_type == MapType::ARENA)
    else {
        return Ok(0);
    };
    let page = kernel.page_size();
    let size = u64::from(map.max_entries).saturating_mul(page.into());
    let used = u64::try_from(contents.len()).ok();
    let used = used.and_then(|bytes| bytes.checked_next_multiple_of(page.into()));
    let free = used
        .and_then(|used| size.checked_sub(used))
        .ok_or_else(|| {
            map.fail(format!(
                "its {} bytes of variables do not fit its {size}",
                contents.len()
            ))
        })?;
    match kernel.has(Feature::LdImm64FullRangeOffset) {
        true => u32::try_from(free).map_err(|_| map.fail("it is larger than 4 GiB")),
        false => Ok(0),
    }
}

fn entries(map: &MapSpec, kernel: &dyn TargetKernel) -> Result<u32, Error> {
    match map.map_type {
        MapType::RINGBUF | MapType::USER_RINGBUF => {
            Ok(ring_size(map.max_entries, kernel.page_size()))
        }
        MapType::PERF_EVENT_ARRAY if map.max_entries == 0 => kernel.possible_cpus(),
        _ => Ok(map.max_entries),
    }
}

fn slots(spec: &ObjectSpec, map: &MapSpec) -> Result<Vec<(u32, SlotPlan)>, Error> {
    let mut slots = Vec::new();
    for (index, slot) in map.slots.iter().enumerate() {
        let Some(slot) = slot else { continue };
        let missing = |name: &str| map.fail(format!("slot {index}: the object has no `{name}`"));
        let plan = match slot {
            Slot::Map(name) => {
                SlotPlan::Map(spec.maps.get_index_of(name).ok_or_else(|| missing(name))?)
            }
            Slot::Program(name) => SlotPlan::Program(
                spec.programs
                    .get_index_of(name)
                    .ok_or_else(|| missing(name))?,
            ),
        };
        let index = u32::try_from(index).map_err(|_| map.fail("it has too many slots"))?;
        slots.push((index, plan));
    }
    Ok(slots)
}
