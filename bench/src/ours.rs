//! What purebpf makes of an object.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;

use purebpf::insn::{Endian, opcode};
use purebpf::plan::{InsnReference, Plan, ProgramPlan, Reference};
use purebpf::{Loader, MapSpec, MapType, ObjectSpec, RunningKernel};

use crate::kernel;
use crate::report::{MapResult, MapRow, ProgramRow, Side};

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// Everything about one object.
pub fn results(path: &Path) -> Side {
    let spec = match ObjectSpec::open(path) {
        Ok(spec) => spec,
        Err(error) => {
            return Side {
                open_error: Some(chain(&error)),
                ..Side::default()
            };
        }
    };
    let loader = Loader::new();
    let whole = loader.load(&spec);
    // libbpf rounds sizes of ring buffers when it reads them, so compare them planned.
    let mut idle = spec.clone();
    idle.programs_mut()
        .for_each(|program| program.autoload = false);
    let maps = loader.plan(&idle).map(|plan| plan.maps).unwrap_or_default();
    let maps = spec.maps().enumerate().map(|(index, map)| MapRow {
        name: map.name.clone(),
        ty: map.map_type.0,
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: match map.max_entries {
            // Filled in when it is created.
            0 => 0,
            entries => maps.get(index).map_or(entries, |plan| plan.max_entries),
        },
        flags: map.flags.bits(),
        extra: map.map_extra,
    });
    Side {
        open_error: None,
        whole_error: whole.as_ref().err().map(|error| chain(error)),
        whole: whole.is_ok(),
        maps: maps.collect(),
        created: spec
            .maps()
            .map(|map| map_alone(&loader, &spec, &map.name))
            .collect(),
        programs: spec
            .programs()
            .map(|p| alone(&loader, &spec, &p.name, &p.section))
            .collect(),
    }
}

fn map_alone(loader: &Loader, spec: &ObjectSpec, name: &str) -> MapResult {
    let mut spec = spec.clone();
    spec.programs_mut()
        .for_each(|program| program.autoload = false);
    let is_struct_ops = |map: &MapSpec| map.map_type == MapType::STRUCT_OPS;
    let needs_others = spec.map(name).is_ok_and(is_struct_ops);
    spec.maps_mut().for_each(|map| {
        map.autocreate = map.name == name || needs_others && !is_struct_ops(map);
    });
    let mut result = MapResult {
        name: name.to_owned(),
        ..MapResult::default()
    };
    match loader.load(&spec) {
        Ok(object) => {
            let map = object.map(name).ok();
            result.kernel = map.and_then(|map| kernel::map(map.as_fd().as_raw_fd()));
        }
        Err(error) => {
            result.errno = error.errno().unwrap_or(0);
            result.error = Some(format!("{}: {}", error.phase().name(), chain(&error)));
        }
    }
    result
}

fn alone(loader: &Loader, spec: &ObjectSpec, name: &str, section: &str) -> ProgramRow {
    let mut row = ProgramRow {
        name: name.into(),
        section: section.into(),
        ..ProgramRow::default()
    };
    let mut spec = spec.clone();
    // With all of its maps, as libbpf creates them.
    for program in spec.programs_mut() {
        program.autoload = program.name == name;
    }
    let mut has_modules = false;
    match loader.plan(&spec) {
        Ok(plan) => {
            if let Some(program) = plan.programs.iter().find(|program| program.name == name) {
                row.attach_type = Some(program.expected_attach_type.0);
                has_modules = instructions(&plan, program, &mut row);
            }
        }
        Err(error) => {
            row.error = Some(chain(&error));
            return row;
        }
    }
    match loader.load(&spec) {
        Ok(object) => {
            row.loaded = true;
            let program = object.program(name).ok();
            row.kernel = program
                .and_then(|program| kernel::program(program.as_fd().as_raw_fd(), has_modules));
        }
        Err(error) => {
            row.errno = error.errno().unwrap_or(0);
            row.error = Some(format!("{}: {}", error.phase().name(), chain(&error)));
        }
    }
    row
}

/// Puts the final instructions into the row, and says whether modules' BTF is in them.
fn instructions(plan: &Plan, program: &ProgramPlan, row: &mut ProgramRow) -> bool {
    let Ok(code) = &program.code else {
        return false;
    };
    let words = code.insns.iter().map(|insn| {
        let is_map = matches!(insn.src(), opcode::PSEUDO_MAP_FD | opcode::PSEUDO_MAP_VALUE);
        let imm = if insn.is_ld_imm64() && is_map {
            0
        } else {
            insn.imm
        };
        u64::from_le_bytes(insn.with_imm(imm).to_bytes(Endian::Little))
    });
    row.insns = Some(words.collect());
    row.maps = code
        .references
        .iter()
        .filter_map(|reference| match reference.to {
            Reference::Map(map) => Some((reference.insn, plan.maps.get(map)?.name.clone())),
            Reference::ModuleBtf(_) | Reference::JumpTable(_) => None,
        })
        .collect();
    let is_module = |reference: &InsnReference| matches!(reference.to, Reference::ModuleBtf(_));
    code.references.iter().any(is_module)
}

/// Opens and plans; whether it can.
pub fn plans(path: &Path) -> bool {
    let plan = ObjectSpec::open(path).map(|spec| spec.plan(&RunningKernel::get()));
    plan.is_ok_and(|plan| plan.is_ok())
}

/// Opens and loads, and nothing else.
pub fn load_whole(path: &Path) -> anyhow::Result<()> {
    let spec = ObjectSpec::open(path)?;
    let object = purebpf::load(&spec)?;
    drop(object);
    Ok(())
}
