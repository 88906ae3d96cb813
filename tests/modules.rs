//! What modules of the running kernel bring: functions to call and to trace, and types.

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

use std::path::Path;

use purebpf::btf::Kind;
use purebpf::handles::TestRun;
use purebpf::handles::attach::TracingMulti;
use purebpf::insn::AttachType;
use purebpf::plan::{Reference, TargetKernel as _};
use purebpf::{Loader, Object, ObjectSpec, RunningKernel};
use support::{lacks, number, open, variable};

/// What the programs of the fixtures say of a connection that is not there, and the function they ask.
const NOT_FOUND: u32 = 300;
const ENOENT: i32 = 2;

/// Whether the module is there, with BTF; the option is the one that makes it.
fn module(name: &str, option: &str) -> bool {
    if !common::root() {
        return false;
    }
    let config = RunningKernel::get().config().unwrap();
    let says = |line: &str| config.lines().any(|known| known == line);
    let has_btf = says("CONFIG_DEBUG_INFO_BTF_MODULES=y") && says(&format!("{option}=m"));
    let path = Path::new("/sys/kernel/btf").join(name);
    !lacks(!has_btf, &format!("BTF of a module {name}"))
        && common::can(path.exists(), &format!("the module {name}"))
}

fn conntrack() -> bool {
    module("nf_conntrack", "CONFIG_NF_CONNTRACK")
}

fn only(file: &str, programs: &[&str]) -> ObjectSpec {
    let mut spec = open(file);
    for program in spec.programs_mut() {
        program.autoload = programs.contains(&program.name.as_str());
    }
    spec
}

/// Sends a packet through a program.
fn run(object: &Object, program: &str) -> u32 {
    let run = TestRun::new().data(&[0; 64]);
    object
        .program(program)
        .unwrap()
        .test_run(&run)
        .unwrap()
        .return_value
}

#[test]
fn kernel_functions_of_modules_are_called() {
    if !conntrack() || !common::jit() {
        return;
    }
    for program in ["look_up_from_tc", "look_up_from_xdp"] {
        let spec = only("module_functions.bpf.o", &[program]);
        let object = purebpf::load(&spec).unwrap();
        assert_eq!(run(&object, program), NOT_FOUND);
        let error = number(&variable(&object, &spec, ".bss", "error")) as i32;
        assert_eq!(error, -ENOENT);
    }
}

#[test]
fn functions_of_modules_that_may_be_missing_are_asked_for_by_address() {
    if !conntrack() || !common::jit() || support::older_than(6, 12) {
        return;
    }
    let spec = only("modules.bpf.o", &["look_up_from_tc", "others_are_missing"]);
    let plan = Loader::new().plan(&spec).unwrap();
    let references = |name| {
        let program = plan.programs.iter().find(|p| p.name == name).unwrap();
        let references = &program.code.as_ref().unwrap().references;
        references
            .iter()
            .filter(|reference| reference.to == Reference::ModuleBtf("nf_conntrack".into()))
            .count()
    };
    assert_eq!(references("look_up_from_tc"), 2);
    assert_eq!(references("others_are_missing"), 0);
    let object = purebpf::load(&spec).unwrap();
    assert_eq!(run(&object, "look_up_from_tc"), NOT_FOUND);
}

#[test]
fn a_function_of_a_module_is_traced() {
    if !conntrack() || !common::jit() {
        return;
    }
    let caller = purebpf::load(&only("module_functions.bpf.o", &["look_up_from_tc"])).unwrap();
    for program in ["on_entry", "on_exit", "on_entry_of_any_module"] {
        let spec = only("modules.bpf.o", &[program]);
        let object = purebpf::load(&spec).unwrap();
        let traced = || number(&variable(&object, &spec, ".bss", "traced"));
        let link = object.attach(program).unwrap();
        run(&caller, "look_up_from_tc");
        assert_eq!(traced(), 1, "{program}");
        drop(link);
        run(&caller, "look_up_from_tc");
        assert_eq!(traced(), 1, "{program}");
    }
}

#[test]
fn many_functions_of_a_module_are_traced_by_one_link() {
    if !conntrack() || !common::jit() || !common::traces_many() {
        return;
    }
    let caller = purebpf::load(&only("module_functions.bpf.o", &["look_up_from_tc"])).unwrap();
    let mut spec = only("modules.bpf.o", &["on_entry"]);
    let program = spec.program_mut("on_entry").unwrap();
    program.expected_attach_type = AttachType::TRACE_FENTRY_MULTI;
    program.attach_target = Some("nf_conntrack:*".into());
    let object = purebpf::load(&spec).unwrap();
    let traced = || number(&variable(&object, &spec, ".bss", "traced"));
    let target = TracingMulti::pattern("nf_conntrack:nf_conntrack_find_*");
    let link = object.program("on_entry").unwrap().attach(target).unwrap();
    run(&caller, "look_up_from_tc");
    let seen = traced();
    assert!(seen > 0);
    drop(link);
    run(&caller, "look_up_from_tc");
    assert_eq!(traced(), seen);

    let program = spec.program_mut("on_entry").unwrap();
    program.attach_target = Some("no_such_module:*".into());
    let error = purebpf::load(&spec).unwrap_err();
    assert!(error.to_string().contains("no_such_module"), "{error}");
}

#[test]
fn types_of_modules_are_found() {
    if !conntrack() || !module("tcp_bbr", "CONFIG_TCP_CONG_BBR") {
        return;
    }
    let spec = only("modules.bpf.o", &["ask_for_types", "ask_for_offset"]);
    let object = purebpf::load(&spec).unwrap();
    for program in ["ask_for_types", "ask_for_offset"] {
        let program = object.program(program).unwrap();
        program.test_run(&TestRun::new().context(&[0; 16])).unwrap();
    }
    let modules = RunningKernel::get().modules().unwrap();
    let conntrack = modules
        .iter()
        .find(|module| &*module.name == "nf_conntrack")
        .unwrap();
    let id = conntrack.btf.find("nf_ct_iter_data", Kind::Struct).unwrap();
    let ty = conntrack.btf.ty(id).unwrap();
    let composite = ty.kind.composite().unwrap();
    let report = composite
        .members()
        .iter()
        .find(|member| conntrack.btf.name_at(member.name_off).unwrap() == "report");
    let value = |name| number(&variable(&object, &spec, ".bss", name));
    assert_eq!(value("size"), u64::from(composite.size));
    assert_eq!(value("offset"), u64::from(report.unwrap().bit_offset / 8));
    let are_there = ["has_type", "has_member", "has_missing", "has_bbr"].map(value);
    assert_eq!(are_there, [1, 1, 0, 1]);
}
