//! What purebpf makes of an object.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::sync::Arc;

use purebpf::btf::Btf;
use purebpf::insn::{Endian, opcode};
use purebpf::loader::{Error, Phase};
use purebpf::plan::{Info, InsnReference, MapPlan, PinPlan, Plan, ProgramPlan, Reference};
use purebpf::{Loader, MapSpec, MapType, ObjectSpec, RunningKernel};

use crate::kernel;
use crate::report::{Failure, MapResult, MapRow, ProgramRow, Side, trimmed};

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    let sources: String = sources.map(|error| format!(": {error}")).collect();
    format!("{error}{sources}")
}

fn failure(error: impl Into<Error>) -> Failure {
    let error = error.into();
    let before = matches!(error.phase(), Phase::Open | Phase::Plan);
    Failure {
        errno: error.errno().unwrap_or(0),
        messages: vec![chain(&error)],
        by_kernel: !before,
    }
}

/// Everything about one object.
pub fn results(path: &Path) -> Side {
    let spec = match ObjectSpec::open(path) {
        Ok(spec) => spec,
        Err(error) => return unopened(error),
    };
    let loader = Loader::new();
    let whole = loader.load(&spec);
    let mut idle = spec.clone();
    only(&mut idle, "");
    let maps = loader.plan(&idle).map(|plan| maps(&idle, &plan));
    Side {
        open_error: None,
        whole_error: whole.err().map(failure),
        maps: maps.unwrap_or_default(),
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

fn unopened(error: purebpf::plan::Error) -> Side {
    Side {
        open_error: Some(failure(error)),
        ..Side::default()
    }
}

/// With all of its maps, as libbpf creates them.
fn only(spec: &mut ObjectSpec, name: &str) {
    for program in spec.programs_mut() {
        program.autoload = program.name == name;
    }
}

fn map_alone(loader: &Loader, spec: &ObjectSpec, name: &str) -> MapResult {
    let mut spec = spec.clone();
    only(&mut spec, "");
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
        Err(error) => result.failure = Some(failure(error)),
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
    only(&mut spec, name);
    let mut has_modules = false;
    match loader.plan(&spec) {
        Ok(plan) => {
            if let Some(program) = plan.programs.iter().find(|program| program.name == name) {
                row.attach_type = Some(program.expected_attach_type.0);
                has_modules = describe(&plan, program, &mut row);
            }
        }
        Err(error) => {
            row.failure = Some(failure(error));
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
        Err(error) => row.failure = Some(failure(error)),
    }
    row
}

/// What would be loaded of an object or of one of its programs, for this kernel or for the one with
/// that BTF.
pub fn planned(path: &Path, btf: Option<&Arc<Btf>>, name: Option<&str>) -> Side {
    let mut spec = match ObjectSpec::open(path) {
        Ok(spec) => spec,
        Err(error) => return unopened(error),
    };
    spec.core_btf = btf.cloned();
    if let Some(name) = name {
        only(&mut spec, name);
    }
    let plan = match Loader::new().plan(&spec) {
        Ok(plan) => plan,
        Err(error) => {
            return Side {
                whole_error: Some(failure(error)),
                ..Side::default()
            };
        }
    };
    let mut side = Side {
        maps: maps(&spec, &plan),
        ..Side::default()
    };
    for program in &plan.programs {
        let mut row = ProgramRow {
            name: program.name.clone(),
            section: program.section.clone(),
            ..ProgramRow::default()
        };
        if program.autoload {
            describe(&plan, program, &mut row);
        }
        if let Err(error) = &program.code {
            side.whole_error.get_or_insert(failure(error.clone()));
        }
        side.programs.push(row);
    }
    side
}

fn maps(spec: &ObjectSpec, plan: &Plan) -> Vec<MapRow> {
    let rows = spec.maps().zip(&plan.maps);
    rows.map(|(spec, plan)| map(spec, plan)).collect()
}

fn map(spec: &MapSpec, plan: &MapPlan) -> MapRow {
    let pin = match &plan.pin {
        Some(PinPlan::At(path)) => Some(path.display().to_string()),
        Some(PinPlan::ByName) => Some(format!("/sys/fs/bpf/{}", plan.name)),
        None => None,
    };
    let contents = plan.contents.as_deref().unwrap_or_default();
    let inner = spec.inner.as_deref().zip(plan.inner.as_deref());
    let inner = inner.map(|(spec, plan)| MapRow {
        key_type: spec.key_type.0,
        value_type: spec.value_type.0,
        // It is created with the outer one.
        autocreate: false,
        ..map(spec, plan)
    });
    MapRow {
        name: plan.name.clone(),
        ty: plan.map_type.0,
        key_size: plan.key_size,
        value_size: plan.value_size,
        max_entries: plan.max_entries,
        flags: plan.flags.bits(),
        extra: plan.map_extra,
        numa_node: plan.numa_node,
        ifindex: plan.ifindex,
        key_type: plan.key_type.0,
        value_type: plan.value_type.0,
        pin,
        autocreate: plan.autocreate,
        contents: match plan.origin.is_internal() {
            true => trimmed(contents),
            false => Vec::new(),
        },
        inner: inner.map(Box::new),
    }
}

/// Puts what would be loaded into the row, and says whether modules' BTF is in it.
fn describe(plan: &Plan, program: &ProgramPlan, row: &mut ProgramRow) -> bool {
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
    row.func_info = records(code.func_info.as_ref(), 8);
    row.line_info = records(code.line_info.as_ref(), 16);
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

/// The records as words; libbpf does not say how large its records are, which all compilers so far
/// make as large as the kernel's.
fn records(info: Option<&Info>, size: u32) -> Vec<u32> {
    let info = info.filter(|info| info.record_size == size);
    let words = info.map_or([].as_slice(), |info| info.records.as_chunks().0);
    words.iter().copied().map(u32::from_ne_bytes).collect()
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
