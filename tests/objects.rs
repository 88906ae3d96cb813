//! Objects on a kernel: variables, maps and their values, externs, subprograms, CO-RE, pins.

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

use purebpf::handles::{TestRun, UpdateFlags};
use purebpf::plan::TargetKernel as _;
use purebpf::{Loader, Map, MapFlags, Object, RunningKernel};
use support::{carry_a_connection, getpgid, number, older_than, open, variable};

/// Runs a raw tracepoint program once, on purpose.
fn run(object: &Object, program: &str) -> u32 {
    let run = TestRun::new().context(&[0; 16]);
    object
        .program(program)
        .unwrap()
        .test_run(&run)
        .unwrap()
        .return_value
}

#[test]
fn globals_are_set_before_loading_and_seen_after() {
    if !common::root() {
        return;
    }
    let mut spec = open("globals.bpf.o");
    spec.set_global("factor", 5u32).unwrap();
    spec.set_global("start", 1000u64).unwrap();
    spec.set_global("result", 1u64).unwrap();
    let object = purebpf::load(&spec).unwrap();
    let value = |name| number(&variable(&object, &spec, ".bss", name));
    assert_eq!(value("result"), 1);
    let link = object.attach("compute").unwrap();
    assert!(common::soon(|| {
        getpgid();
        value("calls") > 0 && value("result") == 1000 * 5 + 7 + 5
    }));
    drop(link);
    assert_eq!(
        number(&variable(&object, &spec, ".data.elsewhere", "elsewhere")),
        5
    );
}

#[test]
fn variables_are_shared_while_anybody_holds_them() {
    if !common::root() {
        return;
    }
    let spec = open("globals.bpf.o");
    let object = purebpf::load(&spec).unwrap();
    let calls = object.global::<u64>("calls").unwrap();
    let result = object.global::<u64>("result").unwrap();
    let factor = object.global::<u32>("factor").unwrap();
    let link = object.attach("compute").unwrap();
    drop(object);
    assert!(common::soon(|| {
        getpgid();
        calls.get() > 0
    }));
    drop(link);
    assert_ne!(result.get(), 0);
    result.set(5).unwrap();
    assert_eq!(result.fetch_add(u64::MAX).unwrap(), 5);
    assert_eq!(result.clone().fetch_or(3).unwrap(), 4);
    assert_eq!(result.fetch_and(!1).unwrap(), 7);
    assert_eq!(result.fetch_xor(1).unwrap(), 6);
    assert_eq!(result.compare_exchange(8, 9).unwrap(), Err(7));
    assert_eq!(result.compare_exchange(7, 9).unwrap(), Ok(7));
    assert_eq!(result.swap(1).unwrap(), 9);
    let elsewhere = std::thread::spawn(move || result.get());
    assert_eq!(elsewhere.join().unwrap(), 1);
    // Constants are frozen, so that they can only be read.
    assert!(factor.set(factor.get() + 1).is_err());
    assert!(factor.swap(1).is_err());
}

#[test]
fn a_variable_of_another_size_or_name_is_refused() {
    if !common::root() {
        return;
    }
    let object = purebpf::load(&open("globals.bpf.o")).unwrap();
    let error = object.global::<u16>("calls").unwrap_err().to_string();
    assert!(error.contains("2 bytes, the variable 8"), "{error}");
    let error = object.global::<u64>("no_such").unwrap_err().to_string();
    assert!(error.contains("`calls`"), "{error}");
}

#[test]
fn constants_are_frozen() {
    if common::root() {
        let object = purebpf::load(&open("globals.bpf.o")).unwrap();
        let constants = object.map(".rodata").unwrap();
        assert!(constants.flags().contains(MapFlags::RDONLY_PROG));
        let value = vec![0; constants.value_size() as usize];
        let error = constants
            .update(&[0; 4], &value, UpdateFlags::ANY)
            .unwrap_err();
        assert_eq!(error.errno().unwrap() as i32, 1);
    }
}

#[test]
fn a_global_of_another_size_or_name_is_refused() {
    let mut spec = open("globals.bpf.o");
    let error = spec.set_global("factor", 5u64).unwrap_err().to_string();
    assert_eq!(
        error,
        "global `factor`: the value has 8 bytes, the variable 4"
    );
    let error = spec.set_global("factr", 5u32).unwrap_err().to_string();
    assert!(
        error.contains("no global `factr`") && error.contains("`factor`"),
        "{error}"
    );
    assert_eq!(spec.global("factor").unwrap(), 3u32.to_ne_bytes());
    assert_eq!(spec.global("calls").unwrap(), [0; 8]);
}

#[test]
fn maps_have_the_attributes_and_values_that_the_file_says() {
    if !common::root() {
        return;
    }
    let mut spec = open("maps.bpf.o");
    spec.map_mut("hash").unwrap().max_entries = 99;
    let object = purebpf::load(&spec).unwrap();
    let sizes = |name: &str| {
        let map = object.map(name).unwrap();
        (map.key_size(), map.value_size(), map.max_entries())
    };
    assert_eq!(sizes("hash"), (8, 16, 99));
    assert_eq!(sizes("per_cpu"), (4, 12, 2));
    assert_eq!(sizes("ring"), (0, 0, 8192));
    assert_eq!(
        sizes("perf").2,
        RunningKernel::get().possible_cpus().unwrap()
    );
    // A slot of a map of maps reads as the id of the inner map.
    let outer = object.map("outer").unwrap();
    let slot = |index: u32| {
        outer
            .lookup(&index.to_ne_bytes(), UpdateFlags::ANY)
            .unwrap()
    };
    let id = |name| Some(object.map(name).unwrap().id().0.to_ne_bytes().to_vec());
    assert_eq!(
        (slot(0), slot(1), slot(2)),
        (id("first"), None, id("second"))
    );
    let jumps = object.map("jumps").unwrap();
    let tail = object
        .program("tail")
        .unwrap()
        .id()
        .0
        .to_ne_bytes()
        .to_vec();
    assert_eq!(
        jumps.lookup(&1u32.to_ne_bytes(), UpdateFlags::ANY).unwrap(),
        Some(tail)
    );
}

#[test]
fn subprograms_and_callbacks_run() {
    if !common::root() || !common::jit() || older_than(5, 13) {
        return;
    }
    let spec = open("subprograms.bpf.o");
    let object = purebpf::load(&spec).unwrap();
    assert_eq!(run(&object, "direct"), 5 + 10 + 14);
    let numbers = object.map("numbers").unwrap().typed::<u32, u64>().unwrap();
    for (key, value) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
        numbers.insert(&key, &value).unwrap();
    }
    assert_eq!(run(&object, "with_callback"), 3);
    assert_eq!(
        number(&variable(&object, &spec, ".bss", "sum")),
        2 * (1 + 2 + 3 + 4)
    );
}

#[test]
fn externs_are_what_the_kernel_says() {
    if !common::root() {
        return;
    }
    let spec = open("externs.bpf.o");
    let object = purebpf::load(&spec).unwrap();
    run(&object, "read_externs");
    let bss = |name| number(&variable(&object, &spec, ".bss", name));
    let data = |name| number(&variable(&object, &spec, ".data", name));
    assert_eq!(bss("version"), u64::from(RunningKernel::get().version()));
    assert!([100, 250, 300, 1000].contains(&bss("hz")), "{}", bss("hz"));
    assert_eq!(bss("has_syscall"), 1);
    assert_eq!((data("has_missing"), data("has_symbol")), (0, 0));
}

#[test]
fn symbols_of_the_kernel_are_read_by_address_and_by_type() {
    if !common::root() {
        return;
    }
    let kernel = RunningKernel::get();
    let symbols = kernel.symbols().unwrap();
    let btf = kernel.btf().unwrap();
    let has_type = btf.find("runqueues", purebpf::btf::Kind::Var).is_some();
    let has_address = symbols.lines().any(|line| line.ends_with(" runqueues"));
    if support::lacks(!(has_type && has_address), "variables of CPUs by name") {
        return;
    }
    let mut spec = open("ksyms.bpf.o");
    spec.program_mut("trust_a_pointer").unwrap().autoload = false;
    let object = purebpf::load(&spec).unwrap();
    run(&object, "read_addresses");
    run(&object, "read_variables");
    let value = |name| number(&variable(&object, &spec, ".data", name));
    let address = symbols
        .lines()
        .find_map(|line| line.strip_suffix(" T vfs_open"))
        .map(|address| u64::from_str_radix(address, 16).unwrap());
    assert_eq!(Some(value("address")), address);
    assert_eq!((value("missing"), value("missing_variable")), (0, 0));
    assert_eq!(value("first_cpu"), 0);
    let cpus = kernel.possible_cpus().unwrap();
    assert!(value("cpu") < u64::from(cpus));
}

#[test]
fn the_users_configuration_wins() {
    if !common::root() {
        return;
    }
    let mut spec = open("externs.bpf.o");
    spec.kconfig = Some("CONFIG_HZ=4321\nCONFIG_PUREBPF_MISSING=y\n".to_owned());
    let object = purebpf::load(&spec).unwrap();
    run(&object, "read_externs");
    assert_eq!(number(&variable(&object, &spec, ".bss", "hz")), 4321);
    assert_eq!(number(&variable(&object, &spec, ".data", "has_missing")), 1);
}

#[test]
fn core_relocations_read_the_right_members() {
    if !common::root() {
        return;
    }
    let spec = open("core.bpf.o");
    let object = purebpf::load(&spec).unwrap();
    run(&object, "ask");
    let bytes = variable(&object, &spec, ".bss", "answers");
    let words: Vec<u64> = bytes.chunks(8).map(number).collect();
    let [
        pid,
        parent,
        start,
        _vm,
        shifts,
        exists,
        missing,
        offset,
        size,
        signed,
        ..,
    ] = words[..]
    else {
        panic!("{words:?}");
    };
    let kernel = RunningKernel::get().btf().unwrap();
    let task = kernel
        .find("task_struct", purebpf::btf::Kind::Struct)
        .unwrap();
    let composite = kernel.ty(task).unwrap().kind.composite().unwrap();
    let member = composite
        .members()
        .iter()
        .find(|m| kernel.name_at(m.name_off).unwrap() == "pid");
    assert_eq!(offset, u64::from(member.unwrap().bit_offset / 8));
    assert_eq!(pid, nix::unistd::gettid().as_raw() as u64);
    assert_eq!(parent, nix::unistd::getppid().as_raw() as u64);
    assert!(start > 0);
    assert_eq!(
        (shifts, exists, missing, size, signed),
        (32 * 100 + 32, 1, 0, 16, 1)
    );
    let [
        type_exists,
        type_missing,
        type_size,
        local,
        target,
        has_value,
        no_value,
        value,
    ] = words[10..18]
    else {
        panic!("{words:?}");
    };
    assert_eq!((type_exists, type_missing), (1, 0));
    assert_eq!(type_size, u64::from(composite.size));
    let own = spec
        .btf()
        .unwrap()
        .find("task_struct", purebpf::btf::Kind::Struct)
        .unwrap();
    assert_eq!((local, target), (u64::from(own.0), u64::from(task.0)));
    // PIDTYPE_TGID is 51 in the object, 1 in every kernel.
    assert_eq!((has_value, no_value, value), (1, 0, 1));
}

#[test]
fn a_pinned_map_is_shared_and_a_different_one_refused() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let mut spec = open("minimal.bpf.o");
    spec.map_mut("counts").unwrap().pin_by_name = true;
    let loader = Loader::new().pin_root(folder.path(""));
    let first = loader.load(&spec).unwrap().map("counts").unwrap();
    let second = loader.load(&spec).unwrap().map("counts").unwrap();
    assert_eq!(first.id(), second.id());
    spec.map_mut("counts").unwrap().max_entries = 7;
    let error = loader.load(&spec).unwrap_err();
    assert_eq!(error.phase().name(), "map");
    assert_eq!(
        error.to_string(),
        "map `counts`: max_entries is 1 in the map there is, 7 in the object"
    );
    assert!(folder.path("counts").exists());
}

#[test]
fn a_load_that_fails_takes_its_pins_back() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let mut spec = open("rejected.bpf.o");
    spec.map_mut("counts").unwrap().pin_by_name = true;
    let loader = Loader::new().pin_root(folder.path(""));
    assert_eq!(loader.load(&spec).unwrap_err().phase().name(), "program");
    assert!(!folder.path("counts").exists());
}

#[test]
fn a_whole_object_is_pinned_all_or_nothing() {
    if !common::root() {
        return;
    }
    let folder = common::FileSystem::mount("bpf");
    let object = purebpf::load(&open("maps.bpf.o")).unwrap();
    object.pin(folder.path("all")).unwrap();
    let again = Map::from_pin(folder.path("all").join("hash")).unwrap();
    assert_eq!(again.id(), object.map("hash").unwrap().id());
    // The second one finds a name taken, and leaves none of its own.
    let other = purebpf::load(&open("maps.bpf.o")).unwrap();
    std::fs::create_dir(folder.path("half")).unwrap();
    let taken = object.map("ring").unwrap();
    let taken = Map::from_id(taken.id()).unwrap();
    taken.pin(folder.path("half").join("ring")).unwrap();
    other.pin(folder.path("half")).unwrap_err();
    let left: Vec<_> = std::fs::read_dir(folder.path("half")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_map_can_be_given_to_the_loader() {
    if !common::root() {
        return;
    }
    let map = common::counter();
    let object = Loader::new()
        .map("counts", &map)
        .load(&open("minimal.bpf.o"))
        .unwrap();
    assert_eq!(object.map("counts").unwrap().id(), map.id());
    let error = Loader::new()
        .map("nothing", &map)
        .load(&open("minimal.bpf.o"))
        .unwrap_err();
    assert!(error.to_string().contains("no map `nothing`"), "{error}");
}

fn is_available(congestion: &str) -> bool {
    let path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    std::fs::read_to_string(path)
        .unwrap()
        .split_whitespace()
        .any(|name| name == congestion)
}

#[test]
fn struct_ops_carries_a_connection_until_its_link_is_dropped() {
    if !common::root() || !common::jit() {
        return;
    }
    let spec = open("struct_ops.bpf.o");
    let object = purebpf::load(&spec).unwrap();
    let links = object.attach_all().unwrap();
    assert_eq!(links.len(), 1);
    assert!(is_available("purebpf_plain"));
    carry_a_connection("purebpf_plain");
    assert!(number(&variable(&object, &spec, ".bss", "calls")) > 0);
    drop(object);
    assert!(is_available("purebpf_plain"));
    drop(links);
    assert!(!is_available("purebpf_plain"));
    if older_than(6, 4) {
        return;
    }

    // By a link of the kernel's, another one can take the place: whoever connects from then on has it.
    let mut spec = spec;
    spec.map_mut("plain").unwrap().flags |= MapFlags::LINK;
    let [first, second] = [(); 2].map(|()| purebpf::load(&spec).unwrap());
    let calls = |object: &Object| number(&variable(object, &spec, ".bss", "calls"));
    let links = first.attach_all().unwrap();
    carry_a_connection("purebpf_plain");
    let last = calls(&first);
    assert!(last > 0);
    second
        .struct_ops("plain")
        .unwrap()
        .replace(&links[0])
        .unwrap();
    carry_a_connection("purebpf_plain");
    assert!(calls(&second) > 0);
    assert_eq!(calls(&first), last);
    drop(links);
    assert!(!is_available("purebpf_plain"));
}

#[test]
fn struct_ops_member_that_the_kernel_lacks_may_only_be_zero() {
    let kernel = || {
        let bytes = std::fs::read("/sys/kernel/btf/vmlinux").ok()?;
        let btf = std::sync::Arc::new(purebpf::btf::Btf::parse(bytes).ok()?);
        Some(purebpf::plan::DescribedKernel::new(0x06_12_00).btf(btf))
    };
    if !common::jit() {
        return;
    }
    let Some(kernel) = kernel() else {
        assert!(!common::root(), "the kernel has no BTF");
        return;
    };
    let mut spec = open("struct_ops.bpf.o");
    spec.map_mut("future").unwrap().autocreate = true;
    let plan = spec.plan(&kernel).unwrap();
    assert!(
        plan.maps
            .iter()
            .all(|map| map.name != "future" || map.struct_ops.is_some())
    );
    let ops = spec.struct_ops_mut("future").unwrap();
    ops.set_program("never_heard_of", Some("plain_undo_cwnd"))
        .unwrap();
    let error = spec.plan(&kernel).unwrap_err().to_string();
    assert_eq!(
        error,
        "map `future`: the kernel has no member `never_heard_of`, which is set"
    );
}

#[test]
fn struct_ops_members_are_edited_by_name() {
    let mut spec = open("struct_ops.bpf.o");
    let ops = spec.struct_ops_mut("plain").unwrap();
    assert_eq!(ops.type_name(), "tcp_congestion_ops");
    assert_eq!(ops.members().next(), Some("name"));
    let mut name = [0u8; 16];
    name[..7].copy_from_slice(b"renamed");
    ops.set("name", name).unwrap();
    assert_eq!(ops.get("name").unwrap(), name);
    assert_eq!(ops.program("set_state").unwrap(), Some("plain_set_state"));
    ops.set_program("set_state", None).unwrap();
    assert!(ops.set("flags", 1u64).is_err());
    assert!(ops.set("set_state", 1u64).is_err());
    assert!(ops.set_program("flags", Some("plain_set_state")).is_err());
    let error = ops.get("colour").unwrap_err().to_string();
    assert!(error.contains("`cong_avoid`"), "{error}");
    if !common::root() || !common::jit() {
        return;
    }
    // What is no member any more is not loaded; a kernel may do without the member.
    let object = purebpf::load(&spec).unwrap();
    assert!(object.program("plain_set_state").is_err());
    let link = object.struct_ops("plain").unwrap().attach().unwrap();
    assert!(is_available("renamed"));
    drop(link);
    let ops = spec.struct_ops_mut("plain").unwrap();
    ops.set_program("undo_cwnd", Some("no_such")).unwrap();
    let error = purebpf::load(&spec).unwrap_err().to_string();
    assert!(error.contains("`no_such`"), "{error}");
}

#[test]
fn variables_in_an_arena_are_shared_with_user_space() {
    if !common::root() || !common::jit() || older_than(6, 9) {
        return;
    }
    let spec = open("arena.bpf.o");
    // At the end of the arena where the kernel can address that.
    let plan = Loader::new().plan(&spec).unwrap();
    let arena = plan.maps.iter().find(|map| map.name == "arena").unwrap();
    let at = arena.contents_offset as usize;
    let object = purebpf::load(&spec).unwrap();
    let memory = object.map("arena").unwrap().memory().unwrap();
    assert_eq!(memory.get::<u64>(at).unwrap(), 41);
    memory.set(at, &99u64).unwrap();
    let result = object
        .program("count")
        .unwrap()
        .test_run(&TestRun::new())
        .unwrap();
    assert_eq!(result.return_value, 100);
    assert_eq!(memory.get::<u64>(at).unwrap(), 100);
    assert_eq!(object.global::<u64>("counter").unwrap().get(), 100);
}

#[test]
fn arenas_at_the_same_address_are_loaded_side_by_side() {
    if !common::root() || !common::jit() || older_than(6, 9) {
        return;
    }
    let mut spec = open("arena.bpf.o");
    spec.map_mut("arena").unwrap().map_extra = support::FREE_ADDRESS;
    let objects = [(), ()].map(|()| purebpf::load(&spec).unwrap());
    let run = |object: &Object| {
        let run = object
            .program("count")
            .unwrap()
            .test_run(&TestRun::new())
            .unwrap();
        run.return_value
    };
    assert_eq!(run(&objects[0]), 42);
    assert_eq!(run(&objects[0]), 43);
    assert_eq!(run(&objects[1]), 42);
}

#[test]
fn functions_take_the_context_on_kernels_that_know_no_tag_for_it() {
    // Before 5.15, no verifier takes a context by these types, nor is there a cookie.
    if !common::root() || older_than(5, 15) {
        return;
    }
    let object = purebpf::load(&open("arg_ctx.bpf.o")).unwrap();
    assert_eq!(object.programs().count(), 3);
    assert_eq!(run(&object, "traced"), 2);
}

#[test]
fn unpinning_that_failed_half_way_goes_on_when_asked_again() {
    if !common::root() {
        return;
    }
    let bpffs = common::FileSystem::mount("bpf");
    let folder = bpffs.path("folder");
    let (first, second) = (common::counter(), common::counter());
    first.pin(folder.join("a")).unwrap();
    second.pin(folder.join("b")).unwrap();
    let pinned = purebpf::handles::PinnedObject::open(&folder).unwrap();
    std::fs::remove_file(folder.join("b")).unwrap();
    pinned.unpin().unwrap_err();
    assert!(!folder.join("a").exists());
    second.pin(folder.join("b")).unwrap();
    pinned.unpin().unwrap();
    assert!(!folder.exists());
}
