//! Objects changed by their user in any way, then planned.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_insn::{AttachType, MapFlags, MapType, ProgramFlags, ProgramType};
use purebpf_plan::ObjectSpec;

/// What is asked for is allocated.
const MOST_BYTES: u32 = 1 << 14;
const MOST_EDITS: usize = 16;

static OBJECTS: LazyLock<[ObjectSpec; 5]> = LazyLock::new(|| {
    let files: [&[u8]; 5] = [
        include_bytes!("../../tests/bpf/globals.bpf.o"),
        include_bytes!("../../tests/bpf/struct_ops.bpf.o"),
        include_bytes!("../../tests/bpf/maps.bpf.o"),
        include_bytes!("../../tests/bpf/core.bpf.o"),
        include_bytes!("../../tests/bpf/externs.bpf.o"),
    ];
    files.map(|file| ObjectSpec::parse(file).expect("the fixture"))
});

/// One of these, or a name that there is not.
fn pick<'a>(names: impl Iterator<Item = &'a str>, input: &mut Unstructured<'_>) -> Result<String> {
    let names: Vec<&str> = names.chain(["missing"]).collect();
    input.choose(&names).map(|name| (*name).to_owned())
}

fn edit(spec: &mut ObjectSpec, input: &mut Unstructured<'_>) -> Result<()> {
    let map = pick(spec.maps().map(|map| map.name.as_str()), input)?;
    let program = pick(spec.programs().map(|program| program.name.as_str()), input)?;
    let word = input.arbitrary::<u32>()?;
    match input.int_in_range(0..=3)? {
        0 => edit_map(spec, &map, word, input)?,
        1 => edit_program(spec, &program, word, input)?,
        2 => {
            let names = ["target_pid", "counter", "limit", "name", "array", &map];
            let name = input.choose(&names)?;
            let result = match input.int_in_range(0..=2)? {
                0 => spec.set_global(name, word),
                1 => spec.set_global(name, word as u8),
                _ => spec.set_global(name, u64::from(word)),
            };
            std::hint::black_box(result.is_ok());
            if let Ok(value) = spec.global(name) {
                assert!(value.len() <= MOST_BYTES as usize);
            }
        }
        _ => {
            let Ok(ops) = spec.struct_ops_mut(&map) else {
                return Ok(());
            };
            let member = pick(ops.members(), input)?;
            let program = input.ratio(3, 4)?.then_some(program.as_str());
            std::hint::black_box(ops.set(&member, word).is_ok());
            std::hint::black_box(ops.set_program(&member, program).is_ok());
            std::hint::black_box(ops.get(&member).is_ok());
        }
    }
    Ok(())
}

fn edit_map(
    spec: &mut ObjectSpec,
    name: &str,
    word: u32,
    input: &mut Unstructured<'_>,
) -> Result<()> {
    let field = input.int_in_range(0..=9)?;
    if field == 0 {
        std::hint::black_box(spec.set_value_size(name, word % MOST_BYTES).is_ok());
    }
    let Ok(map) = spec.map_mut(name) else {
        return Ok(());
    };
    match field {
        1 => map.max_entries = word,
        2 => map.key_size = word,
        3 => map.value_size = word,
        4 => map.map_type = MapType(word % 40),
        5 => map.flags = MapFlags::from_bits_retain(word),
        6 => map.map_extra = word.into(),
        7 => map.autocreate = word & 1 == 0,
        8 => map.contents = Some(vec![1; (word % MOST_BYTES) as usize]),
        9 => map.inner = None,
        _ => {}
    }
    Ok(())
}

fn edit_program(
    spec: &mut ObjectSpec,
    name: &str,
    word: u32,
    input: &mut Unstructured<'_>,
) -> Result<()> {
    let Ok(program) = spec.program_mut(name) else {
        return Ok(());
    };
    match input.int_in_range(0..=4)? {
        0 => program.program_type = ProgramType(word % 40),
        1 => program.expected_attach_type = AttachType(word % 64),
        2 => program.flags = ProgramFlags::from_bits_retain(word),
        3 => program.attach_target = Some(input.arbitrary::<&str>()?.to_owned()),
        _ => program.section = input.arbitrary::<&str>()?.to_owned(),
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let objects = &*OBJECTS;
    let _limits = limits::arm(data, 1 << 20, 32);
    let mut input = Unstructured::new(data);
    let Ok(spec) = input.choose(objects) else {
        return;
    };
    let mut spec = spec.clone();
    for _ in 0..MOST_EDITS {
        if input.is_empty() || edit(&mut spec, &mut input).is_err() {
            break;
        }
    }
    purebpf_fuzz::plan_twice(&mut spec);
});
