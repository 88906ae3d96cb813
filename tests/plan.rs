//! Plans without a kernel: what is asked of one, and what older ones get instead.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::cell::RefCell;
use std::sync::Arc;

use purebpf::btf::{Btf, Kind, TypeId, TypeKind};
use purebpf::insn::{Endian, opcode};
use purebpf::plan::{
    AttachPlan, DescribedKernel, Error, Feature, KernelType, ModuleBtf, Reference, TargetKernel,
};
use purebpf::{MapFlags, MapType};
use support::open;

const LINUX_6_12: u32 = 0x06_0c_00;

/// Notes what it is asked for.
struct Asked {
    kernel: DescribedKernel,
    questions: RefCell<Vec<&'static str>>,
}

impl Asked {
    fn new(kernel: DescribedKernel) -> Self {
        Self {
            kernel,
            questions: RefCell::default(),
        }
    }

    fn note(&self, question: &'static str) {
        self.questions.borrow_mut().push(question);
    }
}

impl TargetKernel for Asked {
    fn version(&self) -> u32 {
        self.kernel.version()
    }

    fn endian(&self) -> Option<Endian> {
        self.kernel.endian()
    }

    fn btf(&self) -> Result<Arc<Btf>, Error> {
        self.note("btf");
        TargetKernel::btf(&self.kernel)
    }

    fn modules(&self) -> Result<Arc<[ModuleBtf]>, Error> {
        self.note("modules");
        TargetKernel::modules(&self.kernel)
    }

    fn config(&self) -> Result<Arc<str>, Error> {
        self.note("config");
        TargetKernel::config(&self.kernel)
    }

    fn symbols(&self) -> Result<Arc<str>, Error> {
        self.note("symbols");
        TargetKernel::symbols(&self.kernel)
    }

    fn has(&self, feature: Feature) -> bool {
        self.kernel.has(feature)
    }

    fn possible_cpus(&self) -> Result<u32, Error> {
        TargetKernel::possible_cpus(&self.kernel)
    }

    fn page_size(&self) -> u32 {
        TargetKernel::page_size(&self.kernel)
    }
}

/// A kernel that has the types of the object itself.
fn kernel_like(name: &str, version: u32) -> DescribedKernel {
    DescribedKernel::new(version).btf(Arc::clone(open(name).btf().unwrap()))
}

#[test]
fn a_kernel_is_asked_only_for_what_an_object_needs() {
    let kernel = Asked::new(DescribedKernel::new(LINUX_6_12));
    let plan = open("minimal.bpf.o").plan(&kernel).unwrap();
    assert!(plan.programs[0].check().is_ok());
    open("subprograms.bpf.o").plan(&kernel).unwrap();
    open("maps.bpf.o").plan(&kernel).unwrap();
    assert_eq!(*kernel.questions.borrow(), [""; 0]);
}

#[test]
fn what_is_not_described_is_named_when_it_is_needed() {
    let kernel = DescribedKernel::new(LINUX_6_12);
    let plan = open("core.bpf.o").plan(&kernel).unwrap();
    let error = plan.programs[0].check().unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot learn the BTF (it was not given) of the target kernel"
    );
    let error = open("externs.bpf.o").plan(&kernel).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot learn the configuration (it was not given) of the target kernel"
    );
}

#[test]
fn one_programs_failure_is_its_own() {
    let mut spec = open("fentry.bpf.o");
    spec.program_mut("on_fexit").unwrap().attach_target = Some("twice_removed".to_owned());
    // The object's own functions stand for the kernel's.
    spec.program_mut("on_fentry").unwrap().attach_target = Some("on_fentry".to_owned());
    let plan = spec.plan(&kernel_like("fentry.bpf.o", LINUX_6_12)).unwrap();
    let [entry, exit] = &plan.programs[..] else {
        panic!()
    };
    assert!(entry.check().is_ok());
    let target = entry.attach_to.as_ref().unwrap().as_ref().unwrap();
    let id = spec.btf().unwrap().find("on_fentry", Kind::Func).unwrap();
    assert_eq!(*target, AttachPlan::Kernel(KernelType { module: None, id }));
    let error = exit.check().unwrap_err().to_string();
    assert!(
        error.contains("no func `twice_removed` to attach to"),
        "{error}"
    );
}

#[test]
fn helpers_are_older_ones_before_5_5() {
    let spec = open("core57.bpf.o");
    let calls = |version| {
        let plan = spec.plan(&kernel_like("core57.bpf.o", version)).unwrap();
        let code = plan.programs[0].check().unwrap().clone();
        let calls = code
            .insns
            .iter()
            .filter(|insn| insn.is_helper_call())
            .map(|insn| insn.imm);
        calls.collect::<std::collections::BTreeSet<_>>()
    };
    // Beside bpf_get_current_task, bpf_probe_read_kernel or bpf_probe_read.
    assert_eq!(calls(LINUX_6_12), [35, 113].into());
    assert_eq!(calls(0x05_04_00), [4, 35].into());
}

#[test]
fn btf_has_no_variables_before_5_2() {
    let spec = open("globals.bpf.o");
    let plan = spec.plan(&DescribedKernel::new(0x05_01_00)).unwrap();
    let btf = Btf::parse(plan.btf.unwrap()).unwrap();
    let kinds: Vec<Kind> = btf
        .own_ids()
        .filter_map(|id| btf.ty(id).unwrap().kind.id())
        .collect();
    assert!(
        !kinds.contains(&Kind::Var) && !kinds.contains(&Kind::Datasec),
        "{kinds:?}"
    );
    assert_eq!(btf.len(), spec.btf().unwrap().len());
    assert!(btf.find("_rodata", Kind::Struct).is_some());
    // Without global data there are no maps for variables, and programs that use them are stopped.
    assert!(plan.maps.iter().all(|map| !map.autocreate));
    let code = plan.programs[0].check().unwrap();
    assert!(
        code.poisons[0]
            .missing
            .to_string()
            .contains("is not created"),
        "{:?}",
        code.poisons
    );
}

#[test]
fn maps_are_as_the_kernel_counts_them() {
    let mut spec = open("maps.bpf.o");
    spec.map_mut("ring").unwrap().max_entries = 4097;
    let kernel = DescribedKernel::new(LINUX_6_12)
        .possible_cpus(6)
        .page_size(16384);
    let plan = spec.plan(&kernel).unwrap();
    let map = |name: &str| plan.maps.iter().find(|map| map.name == name).unwrap();
    assert_eq!(map("ring").max_entries, 16384);
    assert_eq!(map("perf").max_entries, 6);
    assert_eq!(
        map("outer").inner.as_ref().unwrap().map_type,
        MapType::ARRAY
    );
    assert_eq!(map("outer").slots.len(), 2);
    assert_eq!(map("mapped").flags, MapFlags::MMAPABLE);
}

#[test]
fn a_ring_buffers_value_type_says_what_its_records_are() {
    let mut spec = open("map_kinds.bpf.o");
    spec.maps_mut()
        .for_each(|map| map.autocreate = map.name == "typed_ring");
    let declared = spec.map("typed_ring").unwrap();
    assert_eq!(declared.value_size, 16);
    assert_eq!(
        spec.btf().unwrap().name(declared.value_type).unwrap(),
        "counts"
    );
    let plan = spec.plan(&DescribedKernel::new(LINUX_6_12)).unwrap();
    let ring = plan
        .maps
        .iter()
        .find(|map| map.name == "typed_ring")
        .unwrap();
    assert_eq!((ring.value_size, ring.value_type.0), (0, 0));
}

#[test]
fn map_references_are_names_and_their_immediates_zero() {
    let spec = open("maps.bpf.o");
    let plan = spec.plan(&DescribedKernel::new(LINUX_6_12)).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for program in &plan.programs {
        let code = program.check().unwrap();
        for reference in &code.references {
            let insn = code.insns[reference.insn];
            assert_eq!(
                (insn.is_ld_imm64(), insn.src(), insn.imm),
                (true, opcode::PSEUDO_MAP_FD, 0)
            );
            let Reference::Map(map) = reference.to else {
                panic!()
            };
            names.insert(plan.maps[map].name.as_str());
        }
    }
    for name in [
        "hash", "per_cpu", "lru", "trie", "mapped", "perf", "queue", "ring", "outer",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn a_use_of_a_map_that_is_not_created_is_poisoned() {
    let mut spec = open("minimal.bpf.o");
    spec.map_mut("counts").unwrap().autocreate = false;
    let plan = spec.plan(&DescribedKernel::new(LINUX_6_12)).unwrap();
    let code = plan.programs[0].check().unwrap();
    assert_eq!(code.references, []);
    let poison = &code.poisons[0];
    assert_eq!(poison.missing.to_string(), "map `counts` is not created");
    let insns = &code.insns[poison.insn..poison.insn + 2];
    assert!(
        insns
            .iter()
            .all(|insn| insn.is_helper_call() && insn.imm == 2_001_000_000)
    );
}

#[test]
fn plans_of_the_same_spec_are_the_same() {
    let kernel = kernel_like("core57.bpf.o", LINUX_6_12);
    let text = || format!("{:?}", open("core57.bpf.o").plan(&kernel).unwrap());
    assert_eq!(text(), text());
}

#[test]
fn contexts_are_told_to_kernels_that_do_not_know_the_tag() {
    let spec = open("arg_ctx.bpf.o");
    let functions = |plan: &purebpf::plan::Plan, program: usize| -> Vec<u32> {
        let code = plan.programs[program].code.as_ref().unwrap();
        let info = code.func_info.as_ref().unwrap();
        let records = info.records.chunks(info.record_size as usize);
        let ids = records.map(|record| u32::from_ne_bytes(record[4..8].try_into().unwrap()));
        ids.collect()
    };
    let new = spec.plan(&DescribedKernel::new(LINUX_6_12)).unwrap();
    let old = spec.plan(&DescribedKernel::new(0x06_01_00)).unwrap();
    let own = Btf::parse(new.btf.clone().unwrap()).unwrap();
    let btf = Btf::parse(old.btf.clone().unwrap()).unwrap();
    assert!(btf.len() > own.len());
    assert_eq!(functions(&new, 2), functions(&old, 2));
    for (program, context, parameters) in [
        (0, "bpf_user_pt_regs_t", &[0][..]),
        (1, "bpf_raw_tracepoint_args", &[0, 1][..]),
    ] {
        let [main, copy] = functions(&old, program)[..] else {
            panic!();
        };
        let [same, original] = functions(&new, program)[..] else {
            panic!();
        };
        assert_eq!(main, same);
        let (copy, original) = (TypeId(copy), TypeId(original));
        assert_ne!(copy, original);
        assert_eq!(btf.name(copy).unwrap(), own.name(original).unwrap());
        let TypeKind::Func { proto, .. } = btf.ty(copy).unwrap().kind else {
            panic!();
        };
        let TypeKind::FuncProto { params, .. } = btf.ty(proto).unwrap().kind else {
            panic!();
        };
        for parameter in parameters {
            let TypeKind::Ptr(to) = btf.ty(params.get(*parameter).unwrap().ty).unwrap().kind else {
                panic!();
            };
            assert_eq!(btf.name(to).unwrap(), context);
        }
        // The parameter that is no context stays what it is.
        if let Some(value) = params.get(1).filter(|_| parameters.len() == 1) {
            assert_eq!(btf.name(value.ty).unwrap(), "int");
        }
    }
}

#[test]
fn every_type_of_map_is_in_the_fixture() {
    let spec = open("map_kinds.bpf.o");
    for map_type in MapType::known().filter(|ty| *ty != MapType::UNSPEC) {
        assert!(
            spec.maps().any(|map| map.map_type == map_type),
            "{map_type}"
        );
    }
}
