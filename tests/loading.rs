//! What is loaded, and how: parts of an object, stages, copies, targets, pins.

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

use std::sync::Arc;

use purebpf::btf::Btf;
use purebpf::handles::{TestRun, UpdateFlags};
use purebpf::insn::{Insn, build};
use purebpf::plan::{DescribedKernel, OpenOptions, PinPolicy, Reference, SectionDefinition};
use purebpf::{Loader, Map, Object, ObjectSpec, Program, ProgramType, attach};
use support::{older_than, open};

fn run(program: &Program) -> u32 {
    let run = TestRun::new().context(&[0; 16]);
    program.test_run(&run).unwrap().return_value
}

/// The fixture without the program that no kernel accepts.
fn choices() -> ObjectSpec {
    let mut spec = open("choices.bpf.o");
    spec.program_mut("refused").unwrap().autoload = false;
    spec
}

fn names<'a>(items: impl Iterator<Item = (&'a str, Map)>) -> Vec<&'a str> {
    items.map(|(name, _)| name).collect()
}

#[test]
fn only_what_is_asked_for_is_loaded_with_the_maps_that_it_needs() {
    if !common::root() {
        return;
    }
    let mut spec = open("choices.bpf.o");
    spec.load_only(["uses_first"]).unwrap();
    let object = purebpf::load(&spec).unwrap();
    assert_eq!(object.programs().count(), 1);
    assert_eq!(names(object.maps()), ["first", "choices.rodata"]);

    spec.load_only(["uses_holder", "uses_second"]).unwrap();
    let object = purebpf::load(&spec).unwrap();
    assert_eq!(object.programs().count(), 2);
    let expected = ["held", "holder", "second", "choices.rodata"];
    assert_eq!(names(object.maps()), expected);
}

#[test]
fn an_unknown_name_changes_nothing() {
    let mut spec = open("choices.bpf.o");
    spec.load_only(["uses_first", "no_such"]).unwrap_err();
    assert!(spec.programs().all(|program| program.autoload));
    assert!(spec.maps().all(|map| map.autocreate));
}

#[test]
fn an_optional_program_is_left_out_and_reported() {
    if !common::root() {
        return;
    }
    let mut spec = open("choices.bpf.o");
    purebpf::load(&spec).unwrap_err();
    spec.program_mut("refused").unwrap().optional = true;
    let object = purebpf::load(&spec).unwrap();
    assert_eq!(object.programs().count(), 3);
    object.program("refused").unwrap_err();
    let (name, error) = object.left_out().next().unwrap();
    assert_eq!(name, "refused");
    assert!(error.verifier_log().is_some(), "{error}");
}

#[test]
fn maps_are_there_before_the_programs() {
    if !common::root() {
        return;
    }
    let prepared = Loader::new().prepare(&choices()).unwrap();
    let first = prepared.map("first").unwrap();
    first
        .update(&0u32.to_ne_bytes(), &41u64.to_ne_bytes(), UpdateFlags::ANY)
        .unwrap();
    assert!(prepared.map(".rodata").unwrap().value_size() >= 8);
    assert!(prepared.map("no_such").is_err());
    let object = prepared.load().unwrap();
    assert_eq!(run(&object.program("uses_first").unwrap()), 42);
    assert_eq!(first.id(), object.map("first").unwrap().id());
}

#[test]
fn a_program_is_loaded_again_and_changed() {
    if !common::root() {
        return;
    }
    let mut prepared = Loader::new().prepare(&choices()).unwrap();
    let attributes = prepared.attributes("uses_first").unwrap();
    let copy = Program::load(&attributes).unwrap();
    assert_eq!(run(&copy), 1);

    let code = prepared.program_mut("uses_second").unwrap();
    let code = code.code.as_mut().unwrap();
    code.insns = vec![build::mov64_imm(0, 7), build::exit()];
    code.references.clear();
    code.func_info = None;
    code.line_info = None;
    let object = prepared.load().unwrap();
    assert_eq!(run(&object.program("uses_second").unwrap()), 7);
    // The copy and the object's own program count in the same map.
    assert_eq!(run(&object.program("uses_first").unwrap()), 2);
    assert_ne!(copy.id(), object.program("uses_first").unwrap().id());
}

#[test]
fn the_verifier_speaks_when_asked() {
    if !common::root() {
        return;
    }
    let mut spec = choices();
    spec.program_mut("uses_first").unwrap().log_level = 2;
    let object = purebpf::load(&spec).unwrap();
    let log = object.verifier_log("uses_first").unwrap().unwrap();
    assert!(log.contains("processed "), "{log}");
    assert_eq!(object.verifier_log("uses_second").unwrap(), None);
}

#[test]
fn a_spec_is_loaded_from_eight_threads_at_once() {
    if !common::root() {
        return;
    }
    let spec = choices();
    let loader = Loader::new();
    let load = |_| {
        let (spec, loader) = (&spec, &loader);
        move || -> Object { loader.load(spec).unwrap() }
    };
    let objects: Vec<Object> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|index| scope.spawn(load(index))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for object in &objects {
        // Each has maps of its own.
        assert_eq!(run(&object.program("uses_first").unwrap()), 1);
    }
}

#[test]
fn a_pin_is_reused_demanded_or_replaced() {
    if !common::root() {
        return;
    }
    let bpffs = common::FileSystem::mount("bpf");
    let path = bpffs.path("first");
    let load = |policy| {
        let mut spec = choices();
        let map = spec.map_mut("first").unwrap();
        map.pin_path = Some(path.clone());
        map.pin_policy = policy;
        Loader::new().load(&spec)
    };
    let id = |object: &Object| object.map("first").unwrap().id();

    let error = load(PinPolicy::Reuse).unwrap_err();
    assert!(error.to_string().contains("first"), "{error}");
    let old = load(PinPolicy::ReuseOrCreate).unwrap();
    assert_eq!(id(&load(PinPolicy::Reuse).unwrap()), id(&old));
    let new = load(PinPolicy::Replace).unwrap();
    assert_ne!(id(&new), id(&old));
    assert_eq!(Map::from_pin(&path).unwrap().id(), id(&new));
    assert_eq!(new.map("first").unwrap().pin_path(), Some(path.clone()));
    // Nothing is left beside the pin.
    let mut beside = std::fs::read_dir(path.parent().unwrap()).unwrap();
    assert!(!beside.any(|entry| entry.unwrap().file_name().to_string_lossy().contains('~')));
}

#[test]
fn a_load_that_fails_replaces_no_pin() {
    if !common::root() {
        return;
    }
    let bpffs = common::FileSystem::mount("bpf");
    let path = bpffs.path("first");
    let mut spec = open("choices.bpf.o");
    let map = spec.map_mut("first").unwrap();
    map.pin_path = Some(path.clone());
    map.pin_policy = PinPolicy::Replace;
    purebpf::load(&spec).unwrap_err();
    assert!(!path.exists());
    spec.program_mut("refused").unwrap().autoload = false;
    let object = purebpf::load(&spec).unwrap();
    spec.program_mut("refused").unwrap().autoload = true;
    purebpf::load(&spec).unwrap_err();
    let there = Map::from_pin(&path).unwrap();
    assert_eq!(there.id(), object.map("first").unwrap().id());
}

#[test]
fn relocations_are_resolved_against_btf_that_is_given() {
    let mut spec = open("core.bpf.o");
    let kernel = purebpf::RunningKernel::unprivileged();
    let unaided: Vec<_> = spec.plan(&kernel).unwrap().programs;
    // The object's own types stand for a kernel's.
    spec.core_btf = Some(Arc::new(
        Btf::parse(spec.btf().unwrap().raw_bytes().to_vec()).unwrap(),
    ));
    let aided = spec.plan(&kernel).unwrap().programs;
    let insns = |programs: &[purebpf::plan::ProgramPlan]| -> Vec<Vec<Insn>> {
        let code = programs.iter().filter_map(|p| p.code.as_ref().ok());
        code.map(|code| code.insns.clone()).collect()
    };
    assert_ne!(insns(&unaided), insns(&aided));
}

/// The program that calls `judge`.
fn judged() -> Program {
    let mut spec = open("replace.bpf.o");
    spec.load_only(["classifies"]).unwrap();
    purebpf::load(&spec).unwrap().program("classifies").unwrap()
}

/// What a packet is classified as.
fn class(program: &Program) -> u32 {
    let run = TestRun::new().data(&[0; 64]);
    program.test_run(&run).unwrap().return_value
}

/// Kernels that are built for more safety refuse such programs altogether.
fn refuses(name: &str, target: &Program) -> bool {
    let mut spec = open("replace.bpf.o");
    spec.load_only([name]).unwrap();
    let result = Loader::new().target(name, target).load(&spec);
    let errno = result.err().and_then(|error| error.errno());
    support::lacks(
        errno == Some(nix::errno::Errno::EPERM as i32),
        "programs on functions of programs",
    )
}

#[test]
fn a_function_of_another_program_is_replaced() {
    if !common::root() || !common::jit() || older_than(5, 10) {
        return;
    }
    let target = judged();
    assert_eq!(class(&target), 25);
    let mut spec = open("replace.bpf.o");
    spec.load_only(["replacement"]).unwrap();
    let error = purebpf::load(&spec).unwrap_err();
    assert!(error.to_string().contains("`judge`"), "{error}");
    if refuses("replacement", &target) {
        return;
    }
    let loader = Loader::new().target("replacement", &target);
    let object = loader.load(&spec).unwrap();
    let link = object.attach("replacement").unwrap();
    assert_eq!(class(&target), 124);
    drop(link);
    assert_eq!(class(&target), 25);

    // The same on another program than it was loaded for.
    let other = judged();
    let program = object.program("replacement").unwrap();
    let link = program
        .attach(attach::Freplace::new(&other, "judge"))
        .unwrap();
    assert_eq!((class(&target), class(&other)), (25, 124));
    drop(link);
    let unknown = program.attach(attach::Freplace::new(&other, "no_such"));
    assert!(unknown.unwrap_err().to_string().contains("`no_such`"));
}

#[test]
fn a_function_of_another_program_is_traced() {
    if !common::root() || !common::jit() || older_than(5, 10) {
        return;
    }
    let target = judged();
    if refuses("traced", &target) {
        return;
    }
    let mut spec = open("replace.bpf.o");
    spec.load_only(["traced"]).unwrap();
    let object = Loader::new().target("traced", &target).load(&spec).unwrap();
    let program = object.program("traced").unwrap();
    let link = program.attach(attach::Trace::new()).unwrap();
    assert_eq!(class(&target), 25);
    drop(link);
    let mut returned = [0; 8];
    let memory = object.map(".bss").unwrap().memory().unwrap();
    memory.read(0, &mut returned).unwrap();
    assert_eq!(u64::from_ne_bytes(returned), 5);
    let mut unknown = open("replace.bpf.o");
    unknown.load_only(["traced"]).unwrap();
    unknown.program_mut("traced").unwrap().attach_target = Some("no_such".to_owned());
    let error = Loader::new().target("traced", &target).load(&unknown);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`no_such`"), "{error}");
}

#[test]
fn sections_of_a_users_own_are_known_once_defined() {
    let unknown = open("custom.bpf.o");
    assert_eq!(
        unknown.program("counts").unwrap().program_type,
        ProgramType::UNSPEC
    );
    let spec = OpenOptions::new()
        .section(SectionDefinition::prefixed(
            "probes",
            ProgramType::RAW_TRACEPOINT,
        ))
        .section(SectionDefinition::fallback(ProgramType::SOCKET_FILTER))
        .open(support::fixture("custom.bpf.o"))
        .unwrap();
    let type_of = |name| spec.program(name).unwrap().program_type;
    assert_eq!(type_of("counts"), ProgramType::RAW_TRACEPOINT);
    assert_eq!(type_of("fills"), ProgramType::SOCKET_FILTER);
    if !common::root() {
        return;
    }
    let object = purebpf::load(&spec).unwrap();
    assert_eq!(run(&object.program("counts").unwrap()), 1);
    // The user knows how, and the rest is attached as ever: here nothing.
    let links = object
        .attach_all_with(|section, program| match section.strip_prefix("probes/") {
            Some("enter") => program
                .attach(attach::RawTracepoint::new("sys_enter"))
                .map(Some),
            _ => Ok(None),
        })
        .unwrap();
    assert_eq!(links.len(), 1);
}

/// The fixture with only the program that fills its cells, as many as are said.
fn cells(count: u32) -> ObjectSpec {
    let mut spec = open("custom.bpf.o");
    spec.load_only(["fills"]).unwrap();
    spec.program_mut("fills").unwrap().program_type = ProgramType::RAW_TRACEPOINT;
    spec.set_value_size(".data.cells", count * 8).unwrap();
    spec.set_global("cell_count", count).unwrap();
    spec
}

#[test]
fn variables_grow_with_their_section() {
    let mut spec = cells(100);
    // The variable is as long as the section now.
    spec.set_global("cells", [9u64; 100]).unwrap();
    assert!(spec.set_global("cells", [9u64; 1]).is_err());
    if !common::root() {
        return;
    }
    let object = purebpf::load(&spec).unwrap();
    assert_eq!(run(&object.program("fills").unwrap()), 100);
    let mut last = [0; 8];
    let memory = object.map(".data.cells").unwrap().memory().unwrap();
    memory.read(99 * 8, &mut last).unwrap();
    assert_eq!(u64::from_ne_bytes(last), 100);
}

#[test]
fn a_size_that_no_array_fills_costs_the_types() {
    let mut spec = cells(2);
    spec.set_value_size(".data.cells", 13).unwrap();
    let map = spec.map(".data.cells").unwrap();
    assert_eq!((map.value_size, map.value_type.0), (13, 0));
}

#[test]
fn an_exclusive_map_is_for_its_program_alone() {
    if !common::root() || older_than(6, 18) {
        return;
    }
    let mut spec = choices();
    spec.load_only(["uses_first"]).unwrap();
    spec.map_mut("first").unwrap().exclusive_program = Some("uses_first".to_owned());
    let object = purebpf::load(&spec).unwrap();
    let first = object.map("first").unwrap();
    // Another program may not have it.
    let mut other = choices();
    other.load_only(["uses_second"]).unwrap();
    let error = Loader::new()
        .map("second", &first)
        .load(&other)
        .unwrap_err();
    assert!(error.program() == Some("uses_second"), "{error}");
    spec.map_mut("first").unwrap().exclusive_program = Some("no_such".to_owned());
    let error = purebpf::load(&spec).unwrap_err().to_string();
    assert!(error.contains("`no_such`"), "{error}");
}

#[test]
fn maps_from_before_btf_are_read_if_allowed() {
    let file = support::fixture("old_maps.bpf.o");
    let error = ObjectSpec::open(&file).unwrap_err().to_string();
    assert!(error.contains("legacy_maps"), "{error}");
    let spec = OpenOptions::new().legacy_maps(true).open(&file).unwrap();
    let counts = spec.map("counts").unwrap();
    assert_eq!((counts.key_size, counts.value_size), (4, 8));
    assert!(spec.map("shared").unwrap().pin_by_name);
    if !common::root() {
        return;
    }
    let bpffs = common::FileSystem::mount("bpf");
    let root = bpffs.path("root");
    let object = Loader::new().pin_root(&root).load(&spec).unwrap();
    assert_eq!(run(&object.program("uses_both").unwrap()), 1);
    let counts = object.map("counts").unwrap();
    let value = counts
        .lookup(&1u32.to_ne_bytes(), UpdateFlags::ANY)
        .unwrap()
        .unwrap();
    assert_eq!(value, 7u64.to_ne_bytes());
    assert!(root.join("shared").exists());
}

#[test]
fn a_switch_jumps_by_its_table() {
    let mut spec = open("jumps.bpf.o");
    let plan = spec.plan(&DescribedKernel::new(0x07_00_00)).unwrap();
    let code = plan.programs[0].code.as_ref().unwrap();
    let tables = code.references.iter().filter_map(|reference| {
        let Reference::JumpTable(table) = reference.to else {
            return None;
        };
        Some(&code.jump_tables[table])
    });
    // Each leads to the function that jumps by it: the subprogram is behind the program.
    let inner = 1 + *code.jump_tables[0].iter().max().unwrap();
    let [outer, inner_table] = tables.collect::<Vec<_>>()[..] else {
        panic!("{code:?}");
    };
    assert_eq!((outer.len(), inner_table.len()), (8, 7));
    assert!(inner_table.iter().all(|insn| *insn >= inner));

    if !common::root() || older_than(6, 19) || !common::jit() {
        return;
    }
    let mut result = |choice: u32, before: u64| {
        spec.set_global("choice", choice).unwrap();
        spec.set_global("result", before).unwrap();
        let object = purebpf::load(&spec).unwrap();
        run(&object.program("jumps").unwrap())
    };
    assert_eq!(result(2, 40), 43);
    // From here on by the table of the subprogram.
    assert_eq!(result(4, 0), 48);
    assert_eq!(result(5, 1), 11);
}

#[test]
fn what_can_be_attached_is_and_the_rest_is_reported() {
    if !common::root() {
        return;
    }
    let mut spec = choices();
    // A tracepoint that there is none of, and a section that says nothing.
    spec.program_mut("uses_first").unwrap().section = "raw_tp/no_such".to_owned();
    spec.program_mut("uses_second").unwrap().section = "raw_tp".to_owned();
    let object = purebpf::load(&spec).unwrap();
    object.attach_all().unwrap_err();
    let each = object.attach_each();
    let [first, second, holder] = &each[..] else {
        panic!("{each:?}");
    };
    assert!(
        matches!(first.1, Err(purebpf::Error::Attach { .. })),
        "{first:?}"
    );
    assert!(
        matches!(second.1, Err(purebpf::Error::NoTarget { .. })),
        "{second:?}"
    );
    assert!(holder.1.is_ok(), "{holder:?}");
}
