//! Functions of other programs on the running kernel: replaced and traced.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::attached::runs_while_attached;
use common::{
    attributes, count, counter, counting, jit, load_unless_refused, older_than, root, since,
};
use purebpf_btf::{BtfBuilder, IntEncoding, Linkage, NewParam, TypeId};
use purebpf_handles::attach::Trace;
use purebpf_handles::program::{AttachTo, ExtensionInfo};
use purebpf_handles::{BtfObject, Errno, LinkDetails, Program, ProgramAttributes, TestRun};
use purebpf_insn::{AttachType, Insn, ProgramType, build, opcode as op};

/// BTF of the functions `main(context)` and `plus_one(number)`, and their ids.
struct Functions {
    btf: BtfObject,
    main: u32,
    plus_one: u32,
}

impl Functions {
    fn load() -> Self {
        let mut btf = BtfBuilder::new();
        let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
        let pointer = btf.add_ptr(TypeId(0)).unwrap();
        let mut function = |name: &str, parameter: &str, ty| {
            let parameter = NewParam {
                name: parameter,
                ty,
            };
            let prototype = btf.add_func_proto(int, &[parameter]).unwrap();
            btf.add_func(name, Linkage::GLOBAL, prototype).unwrap().0
        };
        let main = function("main", "context", pointer);
        let plus_one = function("plus_one", "number", int);
        let btf = btf.finish().unwrap();
        Self {
            btf: BtfObject::load(btf.raw_bytes(), None).unwrap(),
            main,
            plus_one,
        }
    }

    /// The attributes of a program whose functions begin at these instructions.
    fn attributes(
        &self,
        program_type: ProgramType,
        instructions: Vec<Insn>,
        starts: &[(u32, u32)],
    ) -> ProgramAttributes {
        let records = starts
            .iter()
            .flat_map(|(start, id)| [start.to_ne_bytes(), id.to_ne_bytes()]);
        ProgramAttributes {
            btf: Some(self.btf.clone()),
            func_info: ExtensionInfo {
                records: records.flatten().collect(),
                record_size: 8,
            },
            ..attributes(program_type, instructions)
        }
    }

    /// A program that returns `plus_one(1)`.
    fn target(&self) -> Program {
        let instructions = vec![
            build::mov64_imm(1, 1),
            build::call_rel(1),
            build::exit(),
            build::mov64_reg(0, 1),
            build::add64_imm(0, 1),
            build::exit(),
        ];
        let starts = [(0, self.main), (3, self.plus_one)];
        let attributes = self.attributes(ProgramType::XDP, instructions, &starts);
        Program::load(&attributes).unwrap_or_else(|error| common::fail(&error))
    }
}

fn run(program: &Program) -> u32 {
    let run = TestRun::new().data(&[0; 64]);
    program.test_run(&run).unwrap().return_value
}

#[test]
fn function_of_a_program_is_replaced() {
    if !root() || !jit() || older_than(5, 6, "extensions") {
        return;
    }
    let functions = Functions::load();
    let target = functions.target();
    // plus_one(number) becomes number + number + number.
    let instructions = vec![
        build::mov64_reg(0, 1),
        Insn::new(op::ALU64 | op::ADD | op::X, 0, 1, 0, 0),
        Insn::new(op::ALU64 | op::ADD | op::X, 0, 1, 0, 0),
        build::exit(),
    ];
    let attributes = ProgramAttributes {
        attach_btf_id: functions.plus_one,
        attach_to: Some(AttachTo::Program(target.clone())),
        ..functions.attributes(ProgramType::EXT, instructions, &[(0, functions.plus_one)])
    };
    let Some(extension) = load_unless_refused(&attributes) else {
        return;
    };
    assert_eq!(run(&target), 2);
    let link = extension
        .attach(Trace::new())
        .unwrap_or_else(|error| common::fail(&error));
    assert_eq!(run(&target), 3);
    let details = link.info().unwrap().details;
    if since(5, 13) {
        let expected = LinkDetails::Tracing {
            attach_type: AttachType::default(),
            target_obj_id: target.id().0,
            target_btf_id: functions.plus_one,
            cookie: 0,
        };
        assert_eq!(details, expected);
    }
    link.detach().unwrap();
    assert_eq!(run(&target), 2);
    if older_than(
        5,
        10,
        "extensions of other programs than they were loaded for",
    ) {
        return;
    }
    let other = functions.target();
    let replace = || Trace::new().function_of(&other, functions.plus_one);
    let link = extension.attach(replace()).unwrap();
    assert_eq!((run(&other), run(&target)), (3, 2));
    // It is in one place at a time, and a program without that function is none for it.
    assert_eq!(
        extension.attach(replace()).unwrap_err().errno(),
        Some(Errno::EBUSY)
    );
    drop(link);
    assert_eq!(run(&other), 2);
    let wrong = Trace::new().function_of(&other, functions.main);
    assert_eq!(
        extension.attach(wrong).unwrap_err().errno(),
        Some(Errno::EINVAL)
    );
}

#[test]
fn program_is_traced_at_its_start_and_return() {
    if !root() || !jit() {
        return;
    }
    let functions = Functions::load();
    let [target, other] = [functions.target(), functions.target()];
    for attach_type in [AttachType::TRACE_FENTRY, AttachType::TRACE_FEXIT] {
        let map = counter();
        let attributes = ProgramAttributes {
            expected_attach_type: attach_type,
            attach_btf_id: functions.main,
            attach_to: Some(AttachTo::Program(target.clone())),
            ..attributes(ProgramType::TRACING, counting(&map, 0))
        };
        let Some(program) = load_unless_refused(&attributes) else {
            return;
        };
        // Only an extension can go to another one than it was loaded for.
        let elsewhere = Trace::new().function_of(&other, functions.main);
        let error = program.attach(elsewhere).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EINVAL));
        runs_while_attached(&program, Trace::new(), &map, || {
            run(&target);
        });
        assert_eq!(count(&map), 2);
    }
}
