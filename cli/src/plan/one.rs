//! Maps and programs of one object, as one kernel would get them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use purebpf::ObjectSpec;
use purebpf::insn::{Endian, Insn, disasm, opcode};
use purebpf::plan::{Code, Error, MapPlan, PinPlan, Plan, ProgramPlan, Reference};
use serde_json::{Value, json};

use super::{Arguments, load_all, reports};
use crate::print;
use crate::report::Report;
use crate::target::Target;

pub(super) fn run(arguments: &Arguments, file: &Path, target: &Target) -> anyhow::Result<ExitCode> {
    let mut spec = ObjectSpec::open(file).with_context(|| format!("opening {}", file.display()))?;
    let autoload = load_all(&mut spec);
    let planned = spec.plan(target.kernel());
    if let (Err(error), true) = (&planned, arguments.json) {
        print::line(&unplanned(&spec, &autoload, error).to_string())?;
        return Ok(ExitCode::FAILURE);
    }
    let mut plan = planned.map_err(purebpf::Error::from)?;
    for (program, autoload) in plan.programs.iter_mut().zip(autoload) {
        program.autoload = autoload;
    }
    if arguments.json {
        print::line(&to_json(&plan).to_string())?;
    } else {
        show(&plan, arguments.instructions)?;
        let reports = plan.programs.iter().flat_map(reports);
        print::reports(&reports.collect::<Vec<_>>(), false);
    }
    Ok(ExitCode::SUCCESS)
}

/// A map as it is declared or planned: both have these fields.
macro_rules! map_json {
    ($map:expr, $pinning:expr) => {
        json!({
            "name": $map.name,
            "type": $map.map_type.0,
            "key_size": $map.key_size,
            "value_size": $map.value_size,
            "max_entries": $map.max_entries,
            "flags": $map.flags.bits(),
            "extra": $map.map_extra,
            "pinning": $pinning,
        })
    };
}

/// What the file declares, where nothing of it can be loaded, and why.
fn unplanned(spec: &ObjectSpec, autoload: &[bool], error: &Error) -> Value {
    let maps = spec
        .maps()
        .map(|map| map_json!(map, if map.pin_by_name { "by_name" } else { "none" }));
    let status = print::chain(error);
    let diagnosis = [Report::from(error).json()];
    let programs = spec.programs().zip(autoload).map(|(program, autoload)| {
        json!({
            "name": program.name,
            "section": program.section,
            "type": program.program_type.0,
            "expected_attach_type": program.expected_attach_type.0,
            "autoload": autoload,
            "instructions": "",
            "maps": [],
            "status": status,
            "diagnosis": diagnosis,
        })
    });
    json!({
        "object": spec.name,
        "maps": maps.collect::<Vec<_>>(),
        "programs": programs.collect::<Vec<_>>(),
    })
}

fn pinning(map: &MapPlan) -> Value {
    match &map.pin {
        None => json!("none"),
        Some(PinPlan::ByName) => json!("by_name"),
        Some(PinPlan::At(path)) => json!(path.display().to_string()),
    }
}

fn to_json(plan: &Plan) -> Value {
    let maps = plan.maps.iter().map(|map| map_json!(map, pinning(map)));
    let programs = plan.programs.iter().map(|program| {
        let empty = Code::default();
        let code = program.code.as_ref().unwrap_or(&empty);
        let maps = code
            .references
            .iter()
            .filter_map(|reference| match reference.to {
                Reference::Map(map) => {
                    Some(json!({"insn": reference.insn, "map": plan.maps.get(map)?.name}))
                }
                Reference::JumpTable(table) => {
                    let targets = code.jump_tables.get(table)?;
                    Some(json!({"insn": reference.insn, "jump_table": targets}))
                }
                Reference::ModuleBtf(_) => None,
            });
        json!({
            "name": program.name,
            "section": program.section,
            "type": program.program_type.0,
            "expected_attach_type": program.expected_attach_type.0,
            "autoload": program.autoload,
            "instructions": hex(code, plan.endian),
            "maps": maps.collect::<Vec<_>>(),
            "status": status(program),
            "diagnosis": reports(program).iter().map(Report::json).collect::<Vec<_>>(),
        })
    });
    json!({
        "object": plan.object,
        "endian": plan.endian.to_string(),
        "maps": maps.collect::<Vec<_>>(),
        "programs": programs.collect::<Vec<_>>(),
    })
}

fn hex(code: &Code, endian: Endian) -> String {
    let mut hex = String::with_capacity(code.insns.len().saturating_mul(16));
    // An fd that the source itself wrote there means nothing to anybody else.
    let without_fd = |insn: &Insn| match insn.src() {
        opcode::PSEUDO_MAP_FD | opcode::PSEUDO_MAP_VALUE if insn.is_ld_imm64() => insn.with_imm(0),
        _ => *insn,
    };
    let bytes = code
        .insns
        .iter()
        .flat_map(|insn| without_fd(insn).to_bytes(endian));
    for byte in bytes {
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}

fn status(program: &ProgramPlan) -> String {
    match program.check() {
        Ok(_) => "ok".to_owned(),
        Err(error) => print::chain(error),
    }
}

/// The same for a table, where reports follow.
fn in_brief(program: &ProgramPlan) -> String {
    match program.check() {
        Ok(code) if code.poisons.is_empty() => "ok".to_owned(),
        Ok(code) => format!("ok, {} missing", code.poisons.len()),
        Err(_) => "fails".to_owned(),
    }
}

fn show(plan: &Plan, instructions: bool) -> anyhow::Result<()> {
    print::line(&format!("object {}, license {}", plan.object, plan.license))?;
    if !plan.maps.is_empty() {
        let mut table = print::table(&["map", "type", "key", "value", "entries", "flags"]);
        for map in &plan.maps {
            table.add_row([
                map.name.clone(),
                map.map_type.to_string(),
                map.key_size.to_string(),
                map.value_size.to_string(),
                map.max_entries.to_string(),
                format!("{:#x}", map.flags.bits()),
            ]);
        }
        print::line(&format!("\n{table}"))?;
    }
    let mut table = print::table(&["program", "section", "type", "instructions", "status"]);
    for program in &plan.programs {
        let count = program.code.as_ref().map_or(0, |code| code.insns.len());
        table.add_row([
            program.name.clone(),
            program.section.clone(),
            program.program_type.to_string(),
            count.to_string(),
            in_brief(program),
        ]);
    }
    print::line(&format!("\n{table}"))?;
    if instructions {
        for program in &plan.programs {
            print::line(&format!("\n{}:", program.name))?;
            disassembly(plan, program)?;
        }
    }
    Ok(())
}

/// The instructions of a program, with the source lines they come from.
fn disassembly(plan: &Plan, program: &ProgramPlan) -> anyhow::Result<()> {
    let Ok(code) = &program.code else {
        return Ok(());
    };
    let mut last = None;
    for (index, text) in disasm::disassemble(&code.insns) {
        let line = code.source_line(index);
        if line != last {
            if let Some(line) = &line {
                print::line(&format!("; {} @ {}:{}", line.text, line.file, line.line))?;
            }
            last = line;
        }
        let map = code
            .references
            .iter()
            .find(|reference| reference.insn == index);
        let map = map.and_then(|reference| match &reference.to {
            Reference::Map(map) => plan.maps.get(*map).map(|map| map.name.clone()),
            Reference::JumpTable(table) => {
                let targets = code.jump_tables.get(*table)?.iter();
                let targets = targets.map(u32::to_string).collect::<Vec<_>>();
                Some(format!("jump table {}", targets.join(" ")))
            }
            Reference::ModuleBtf(module) => Some(format!("btf of {module}")),
        });
        let is_value = code.insns.get(index).map(|i| i.src()) == Some(opcode::PSEUDO_MAP_VALUE);
        let note = match map {
            Some(map) if is_value => format!(" // value of {map}"),
            Some(map) => format!(" // map {map}"),
            None => String::new(),
        };
        print::line(&format!("{index:4}: {text}{note}"))?;
    }
    Ok(())
}
