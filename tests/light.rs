//! Objects loaded by the programs that were generated of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "../handles/tests/common/mod.rs"]
mod common;
mod support;

use std::collections::HashMap;

use purebpf::handles::{TestRun, UpdateFlags};
use purebpf::insn::{Endian, Insn, opcode};
use purebpf::light::{LightLoader, LightOptions};
use purebpf::plan::{DescribedKernel, TargetKernel as _};
use purebpf::{Error, Map, MapType, Object, ObjectSpec, Program, RunningKernel, light};
use support::{getpgid, older_than, open};

/// What `purebpf gen loader` writes of an object; a test of the program keeps it so.
#[allow(unreachable_pub, reason = "a user makes it part of an API, or not")]
mod minimal {
    include!("bpf/minimal.light.rs");
}

/// The object as its own loader program loads it; only what one can load is left in the spec.
fn light(spec: &ObjectSpec) -> Object {
    let loader = LightLoader::generate(spec, &RunningKernel::get()).unwrap();
    light::run(&loader, &LightOptions::new()).unwrap()
}

/// Whether this kernel runs loader programs and resolves CO-RE relocations itself.
fn runs_loaders() -> bool {
    common::root() && !older_than(5, 17)
}

fn fixture(name: &str) -> ObjectSpec {
    let mut spec = open(name);
    // Slots with programs are beyond loader programs, as in libbpf.
    if let Ok(jumps) = spec.map_mut("jumps") {
        jumps.slots.clear();
    }
    spec
}

/// Instructions with names in place of ids of maps, and without the place of a module's BTF in the
/// fd array.
fn instructions(program: &Program, object: &Object) -> Vec<(Insn, Option<String>)> {
    let names: HashMap<u32, String> = object
        .maps()
        .map(|(name, map)| (map.id().0, name.to_owned()))
        .collect();
    let insns = program.translated_instructions().unwrap();
    insns
        .into_iter()
        .map(|mut insn| match (insn.is_ld_imm64(), insn.src()) {
            (true, opcode::PSEUDO_MAP_FD | opcode::PSEUDO_MAP_VALUE) => {
                let name = names.get(&insn.imm.cast_unsigned()).cloned();
                (insn.with_imm(0), name)
            }
            (false, opcode::PSEUDO_KFUNC_CALL) if insn.is_call() => {
                insn.off = 0;
                (insn, None)
            }
            _ => (insn, None),
        })
        .collect()
}

type Shape = (MapType, u32, u32, u32, u32, u64, String, bool);

fn shape(map: &Map) -> Shape {
    let info = map.info().unwrap();
    (
        info.map_type,
        info.key_size,
        info.value_size,
        info.max_entries,
        info.flags.bits(),
        info.map_extra,
        info.name,
        info.btf_id != 0,
    )
}

fn first_element(map: &Map) -> Option<Vec<u8>> {
    let is_plain = map.map_type() == MapType::ARRAY && map.max_entries() == 1;
    is_plain.then(|| map.lookup(&[0; 4], UpdateFlags::ANY).unwrap().unwrap())
}

/// That both objects are the same to the kernel, but for ids.
fn assert_same(ours: &Object, light: &Object) {
    let names = |object: &Object| -> Vec<String> {
        let maps = object.maps().map(|(name, _)| name.to_owned());
        let programs = object.programs().map(|(name, _)| name.to_owned());
        maps.chain(programs).collect()
    };
    assert_eq!(names(light), names(ours));
    for ((name, ours), (_, light)) in ours.maps().zip(light.maps()) {
        assert_eq!(shape(&light), shape(&ours), "{name}");
        assert_eq!(first_element(&light), first_element(&ours), "{name}");
    }
    for ((name, mine), (_, other)) in ours.programs().zip(light.programs()) {
        let of_ours = instructions(&mine, ours);
        assert_eq!(instructions(&other, light), of_ours, "{name}");
        assert_eq!(other.program_type(), mine.program_type(), "{name}");
        assert_eq!(other.expected_attach_type(), mine.expected_attach_type());
        let (mine, other) = (mine.info().unwrap(), other.info().unwrap());
        assert_eq!(other.btf_id != 0, mine.btf_id != 0, "{name}");
        // The kernel's hash covers how maps are named in the instructions: by fd, or by index.
        if of_ours.iter().all(|(_, map)| map.is_none()) {
            assert_eq!(other.tag, mine.tag, "{name}");
        }
    }
}

#[test]
fn a_light_object_is_the_one_that_is_loaded_otherwise() {
    if !runs_loaders() {
        return;
    }
    let mut names = vec![
        "minimal",
        "maps",
        "globals",
        "subprograms",
        "core",
        "externs",
    ];
    if !common::jit() {
        // They have callbacks, and calls of the kernel's functions.
        names.retain(|name| !["subprograms", "externs"].contains(name));
    } else if support::has_kprobes() {
        names.push("fentry");
    }
    for name in names {
        let spec = fixture(&format!("{name}.bpf.o"));
        assert_same(&purebpf::load(&spec).unwrap(), &light(&spec));
    }
}

#[test]
fn symbols_of_the_kernel_are_found_by_the_loader_program() {
    if !runs_loaders() || !common::jit() || older_than(6, 12) {
        return;
    }
    let mut spec = open("symbols.bpf.o");
    // The kernel looks its variables up among its symbols.
    let symbols = RunningKernel::get().symbols().unwrap();
    let has_variables = symbols
        .lines()
        .any(|line| line.contains(" bpf_prog_active"));
    spec.program_mut("find_variables").unwrap().autoload = has_variables;
    let (ours, light) = (purebpf::load(&spec).unwrap(), light(&spec));
    assert_same(&ours, &light);
    for object in [&ours, &light] {
        for (_, program) in object.programs() {
            program.test_run(&TestRun::new().context(&[0; 16])).unwrap();
        }
    }
    let values = first_element(&light.map(".bss").unwrap()).unwrap();
    assert_eq!(
        Some(values.clone()),
        first_element(&ours.map(".bss").unwrap())
    );
    assert!(values.iter().any(|byte| *byte != 0));
}

#[test]
fn maps_and_programs_that_are_left_out_are_not_there() {
    if !runs_loaders() {
        return;
    }
    let mut spec = fixture("maps.bpf.o");
    spec.map_mut("first").unwrap().autocreate = false;
    spec.map_mut("lru").unwrap().autocreate = false;
    let all = spec.maps().count();
    let first = spec.programs().next().unwrap().name.clone();
    spec.program_mut(&first).unwrap().autoload = false;
    let light = light(&spec);
    assert_eq!(light.maps().count(), all - 2);
    assert!(light.program(&first).is_err());
    assert_same(&purebpf::load(&spec).unwrap(), &light);
}

#[test]
fn a_light_object_is_attached_as_its_sections_say() {
    if !runs_loaders() {
        return;
    }
    let object = light(&open("globals.bpf.o"));
    let values = || first_element(&object.map(".bss").unwrap());
    let before = values();
    let links = object.attach_all().unwrap();
    assert_eq!(links.len(), 1);
    assert!(common::soon(|| {
        getpgid();
        values() != before
    }));
}

#[test]
fn sizes_and_values_are_given_when_the_loader_program_is_run() {
    if !runs_loaders() {
        return;
    }
    let kernel = RunningKernel::get();
    let loader = LightLoader::generate(&fixture("maps.bpf.o"), &kernel).unwrap();
    let options = LightOptions::new()
        .max_entries("hash", 99)
        .max_entries("lru", 0);
    let object = light::run(&loader, &options).unwrap();
    assert_eq!(object.map("hash").unwrap().max_entries(), 99);
    let declared = open("maps.bpf.o").map("lru").unwrap().max_entries;
    assert_eq!(object.map("lru").unwrap().max_entries(), declared);

    let mut spec = open("globals.bpf.o");
    let loader = LightLoader::generate(&spec, &kernel).unwrap();
    spec.set_global("factor", 5u32).unwrap();
    spec.set_global("result", 77u64).unwrap();
    let mut options = LightOptions::new();
    for section in [".rodata", ".bss"] {
        let map = spec.map(section).unwrap();
        let mut value = map.contents.clone().unwrap_or_default();
        value.resize(map.value_size as usize, 0);
        options = options.value(section, value);
    }
    let light = light::run(&loader, &options).unwrap();
    assert_same(&purebpf::load(&spec).unwrap(), &light);
    let constants = light.map(".rodata").unwrap();
    let value = first_element(&constants).unwrap();
    let error = constants
        .update(&[0; 4], &value, UpdateFlags::ANY)
        .unwrap_err();
    assert_eq!(error.errno().unwrap() as i32, 1);
}

#[test]
fn a_loader_that_was_kept_as_source_loads_the_object() {
    let spec = open("minimal.bpf.o");
    if Endian::HOST == Endian::Little {
        let loader = LightLoader::generate(&spec, &DescribedKernel::new(0)).unwrap();
        assert_eq!(minimal::loader(), loader);
        if runs_loaders() {
            let light = minimal::load(&LightOptions::new()).unwrap();
            assert_same(&purebpf::load(&spec).unwrap(), &light);
        }
    }
}

#[test]
fn options_of_no_map_or_of_another_size_are_refused() {
    let spec = open("globals.bpf.o");
    let kernel = DescribedKernel::new(0);
    let loader = LightLoader::generate(&spec, &kernel).unwrap();
    let refused = |options| light::run(&loader, &options).unwrap_err().to_string();
    assert_eq!(
        refused(LightOptions::new().max_entries("hash", 1)),
        "the object has no map `hash`; it has `globals.rodata`, `globals.data`, \
         `.data.elsewhere`, `globals.bss`"
    );
    assert_eq!(
        refused(LightOptions::new().value(".rodata", [0; 3])),
        "map `.rodata`: its value has 5 bytes, not 3"
    );
}

#[test]
fn a_refusal_says_what_the_kernel_said() {
    if !runs_loaders() {
        return;
    }
    let mut spec = open("rejected.bpf.o");
    spec.load_only(["null_pointer"]).unwrap();
    let loader = LightLoader::generate(&spec, &RunningKernel::get()).unwrap();
    let error = light::run(&loader, &LightOptions::new()).unwrap_err();
    assert!(matches!(error, Error::Light { .. }), "{error:?}");
    assert_eq!(error.errno(), Some(13));
    let log = error.verifier_log().unwrap();
    assert!(log.contains("invalid mem access"), "{log}");
}

#[test]
fn what_loader_programs_cannot_do_is_said_when_they_are_generated() {
    let refused = |spec: &ObjectSpec| {
        let kernel = DescribedKernel::new(0);
        LightLoader::generate(spec, &kernel)
            .unwrap_err()
            .to_string()
    };
    let prefix = "not supported yet: a loader program with";
    assert_eq!(
        refused(&open("maps.bpf.o")),
        format!("{prefix} map `jumps`, with programs in its slots")
    );
    let mut spec = fixture("maps.bpf.o");
    spec.map_mut("hash").unwrap().pin_by_name = true;
    assert_eq!(
        refused(&spec),
        format!("{prefix} map `hash`, which is pinned")
    );
    assert!(refused(&open("struct_ops.bpf.o")).contains("of struct_ops"));
    assert!(refused(&open("arena.bpf.o")).contains("with variables in an arena"));
}
