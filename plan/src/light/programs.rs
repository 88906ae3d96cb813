//! Programs: attach targets, relocations, loads.

use purebpf_insn::build::store;
use purebpf_insn::opcode::{self as op, W};
use purebpf_insn::{Endian, Insn};

use super::attr::{Attr, prog_load};
use super::builder::{Builder, Jump, Place, RESULT, Slot, unsupported, upper_half};
use super::symbols::Symbols;
use crate::Error;
use crate::plan::Info;
use crate::resolve::deferred::{Named, Program, Wanted};

/// Bytes of a CO-RE relocation (`struct bpf_core_relo`).
const CORE_SIZE: u32 = 16;

/// Loads a program: finds what it needs of the kernel, writes that into its instructions and
/// attributes, and closes what was opened for it, whether it could be loaded or not.
///
/// # Source
/// libbpf `bpf_gen__prog_load`.
pub(super) fn load(
    builder: &mut Builder,
    license: &str,
    program: &Program<'_>,
    index: usize,
) -> Result<(), Error> {
    let plan = &program.plan;
    let refused = |what| {
        Err(unsupported(format!(
            "program `{}`, which {what}",
            plan.name
        )))
    };
    let target = match &program.target {
        Some(Wanted::Program(_)) => return refused("replaces a function of another"),
        Some(Wanted::Kernel(named)) => Some(named),
        None => None,
    };
    if !program.code.jump_tables.is_empty() {
        return refused("jumps by a table");
    }
    let (license, _) = builder.text(license)?;
    let insns = builder.add(&bytes(&program.code.insns, builder.endian))?;
    let functions = records(builder, program.code.func_info.as_ref())?;
    let lines = records(builder, program.code.line_info.as_ref())?;
    let core = core(program);
    let core = Records {
        place: builder.add(&builder.words(&core))?,
        count: count(program.core.len()),
        size: CORE_SIZE,
    };
    let attr = Attr::new(builder.endian, &prog_load::COMMAND)
        .words(&[
            (prog_load::PROG_TYPE, plan.program_type.0),
            (prog_load::INSN_COUNT, count(program.code.insns.len())),
            (prog_load::FLAGS, plan.flags.bits()),
            (prog_load::ATTACH_TYPE, plan.expected_attach_type.0),
            (prog_load::FUNC_INFO_SIZE, functions.size),
            (prog_load::FUNC_INFO_COUNT, functions.count),
            (prog_load::LINE_INFO_SIZE, lines.size),
            (prog_load::LINE_INFO_COUNT, lines.count),
            (prog_load::CORE_SIZE, core.size),
            (prog_load::CORE_COUNT, core.count),
        ])
        .name(prog_load::NAME, &plan.name);
    let attr = builder.attr(&attr)?;
    for (field, place) in [
        (prog_load::LICENSE, license),
        (prog_load::INSNS, insns),
        (prog_load::FUNC_INFO, functions.place),
        (prog_load::LINE_INFO, lines.place),
        (prog_load::CORE, core.place),
        (prog_load::FD_ARRAY, Place::fd(0)),
    ] {
        builder.point(attr.at(field), place);
    }
    builder.take_log(
        attr.at(prog_load::LOG_LEVEL),
        attr.at(prog_load::LOG_SIZE),
        attr.at(prog_load::LOG_BUFFER),
    );
    builder.take_slot(attr.at(prog_load::BTF_FD), Slot::Btf);

    let mut failures = Vec::new();
    if let Some(target) = target {
        failures.push(find_target(builder, target, attr)?);
    }
    let mut symbols = Symbols::new(insns);
    for symbol in &program.symbols {
        symbols.find(builder, symbol, &mut failures)?;
    }
    builder.bpf(&prog_load::COMMAND, attr);
    // What was opened for the program is closed, however far it came.
    for failure in failures {
        builder.land(failure)?;
    }
    symbols.close(builder)?;
    if target.is_some() {
        builder.close(attr.at(prog_load::ATTACH_BTF_FD))?;
    }
    builder.check()?;
    builder.keep(Slot::Program(index));
    Ok(())
}

/// Finds what a program is attached to; the jump is taken if the kernel has no such thing.
fn find_target(builder: &mut Builder, target: &Named<'_>, attr: Place) -> Result<Jump, Error> {
    builder.find(&target.name, target.kind)?;
    let failure = builder.jump(op::JSLT, RESULT, 0);
    builder.address(0, attr);
    let field = |field: u32| i16::try_from(field).unwrap_or(i16::MAX);
    builder.emit(&[
        store(W, 0, field(prog_load::ATTACH_BTF_ID), RESULT),
        upper_half(RESULT),
        store(W, 0, field(prog_load::ATTACH_BTF_FD), RESULT),
    ]);
    Ok(failure)
}

/// Records that the kernel is given.
struct Records {
    place: Place,
    count: u32,
    size: u32,
}

fn records(builder: &mut Builder, info: Option<&Info>) -> Result<Records, Error> {
    let bytes = info.map_or_else(Vec::new, |info| info.to_bytes(builder.endian));
    Ok(Records {
        place: builder.add(&bytes)?,
        count: info.map_or(0, Info::count),
        size: info.map_or(0, |info| info.record_size),
    })
}

fn core(program: &Program<'_>) -> Vec<u8> {
    let words = program.core.iter().flat_map(|relo| {
        [
            relo.insn_off,
            relo.type_id.0,
            relo.access_str_off,
            relo.kind,
        ]
    });
    words.flat_map(u32::to_ne_bytes).collect()
}

fn bytes(insns: &[Insn], endian: Endian) -> Vec<u8> {
    insns
        .iter()
        .flat_map(|insn| insn.to_bytes(endian))
        .collect()
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
