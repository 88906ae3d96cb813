//! From an object to the program that loads it.

use purebpf_insn::MapType;

use super::attr::{Attr, btf_load};
use super::builder::{Builder, MAX_MAPS, MAX_PROGRAMS, Slot, unsupported};
use super::{LightLoader, LightMap, LightProgram, maps, programs};
use crate::plan::SlotPlan;
use crate::resolve::deferred::{self, Deferred};
use crate::{Error, MapOrigin, MapPlan, MapSpec, ObjectSpec, TargetKernel};

impl LightLoader {
    /// Writes the program that loads an object, on any kernel that is new enough for it.
    ///
    /// `kernel` is asked for what the program cannot find out where it runs: values of the
    /// configuration (`__kconfig`), the number of CPUs for a perf event array without a size, the
    /// size of a page; and each only if the object needs it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what loader programs cannot do: more than 64 maps or 32 programs,
    /// pinned maps, maps for one program alone, slots with programs, struct_ops, variables in an arena,
    /// jump tables, optional programs, functions of other programs to be replaced; and what keeps
    /// the object from being loaded anywhere.
    #[doc(alias = "bpf_object__gen_loader")]
    pub fn generate(spec: &ObjectSpec, kernel: &dyn TargetKernel) -> Result<Self, Error> {
        let endian = spec.code.endian;
        check(spec)?;
        let object = deferred::defer(spec, kernel)?;
        let (data, insns) = write(spec, &object)?;
        let maps = created(spec).zip(&object.maps);
        let programs = object.programs.iter().map(|program| &program.plan);
        Ok(Self {
            maps: maps
                .map(|(map, plan)| LightMap {
                    name: plan.name.clone(),
                    section: map.section().map(ToOwned::to_owned),
                    map_type: plan.map_type,
                    key_size: plan.key_size,
                    value_size: plan.value_size,
                    max_entries: plan.max_entries,
                    flags: plan.flags,
                })
                .collect(),
            programs: programs
                .map(|plan| LightProgram {
                    name: plan.name.clone(),
                    section: plan.section.clone(),
                    program_type: plan.program_type,
                    attach_type: plan.expected_attach_type,
                    autoattach: plan.autoattach,
                })
                .collect(),
            ..Self::new(&spec.name, endian, data, insns)
        })
    }
}

fn created(spec: &ObjectSpec) -> impl Iterator<Item = &MapSpec> {
    spec.maps.values().filter(|map| map.autocreate)
}

/// What a loader program cannot do.
fn check(spec: &ObjectSpec) -> Result<(), Error> {
    let loaded = spec.programs.values().filter(|program| program.autoload);
    let limits = [
        ("maps", created(spec).count(), MAX_MAPS),
        ("programs", loaded.count(), MAX_PROGRAMS),
    ];
    for (what, count, most) in limits {
        if count > most {
            return Err(unsupported(format!("{count} {what}, of {most}")));
        }
    }
    for map in created(spec) {
        let name = &map.name;
        let problem = match map.origin {
            _ if map.exclusive_program.is_some() => "which is for one program alone",
            _ if map.pin_by_name || map.pin_path.is_some() => "which is pinned",
            MapOrigin::StructOps => "of struct_ops",
            _ if map.map_type == MapType::ARENA && map.contents.is_some() => {
                "with variables in an arena"
            }
            _ => continue,
        };
        return Err(unsupported(format!("map `{name}`, {problem}")));
    }
    let mut programs = spec.programs.values();
    match programs.find(|program| program.autoload && program.optional) {
        Some(program) => {
            let name = &program.name;
            Err(unsupported(format!("program `{name}`, which is optional")))
        }
        None => Ok(()),
    }
}

fn write(
    spec: &ObjectSpec,
    object: &Deferred<'_>,
) -> Result<(Vec<u8>, Vec<purebpf_insn::Insn>), Error> {
    let (maps, programs) = (object.maps.len(), object.programs.len());
    let mut builder = Builder::new(spec.code.endian, maps, programs)?;
    if let Some(btf) = &object.btf {
        load_btf(&mut builder, btf)?;
    }
    for (index, map) in object.maps.iter().enumerate() {
        maps::create(&mut builder, map, Some(index))?;
        maps::fill(&mut builder, map, index)?;
    }
    // A map may be the value of one that comes before it.
    for (index, map) in object.maps.iter().enumerate() {
        fill_slots(&mut builder, map, index)?;
    }
    for (index, program) in object.programs.iter().enumerate() {
        programs::load(&mut builder, &spec.license, program, index)?;
    }
    builder.finish(maps, programs)
}

fn load_btf(builder: &mut Builder, btf: &[u8]) -> Result<(), Error> {
    let len = u32::try_from(btf.len()).unwrap_or(u32::MAX);
    let data = builder.add(btf)?;
    let attr = Attr::new(builder.endian, &btf_load::COMMAND).words(&[(btf_load::BTF_SIZE, len)]);
    let attr = builder.attr(&attr)?;
    builder.take_log(
        attr.at(btf_load::LOG_LEVEL),
        attr.at(btf_load::LOG_SIZE),
        attr.at(btf_load::LOG_BUFFER),
    );
    builder.point(attr.at(btf_load::BTF), data);
    builder.bpf(&btf_load::COMMAND, attr);
    builder.check()?;
    builder.keep(Slot::Btf);
    Ok(())
}

fn fill_slots(builder: &mut Builder, map: &MapPlan, index: usize) -> Result<(), Error> {
    for (key, slot) in &map.slots {
        match slot {
            SlotPlan::Map(value) => maps::put(builder, index, *key, *value)?,
            SlotPlan::Program(_) => {
                let name = &map.name;
                return Err(unsupported(format!(
                    "map `{name}`, with programs in its slots"
                )));
            }
        }
    }
    Ok(())
}
