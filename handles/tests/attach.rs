//! Attaching on the running kernel, one mechanism after the other.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Read;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{
    Bpffs, can, count, counter, counting, kernel_type, load, load_for, load_traced, root,
    storing_cookie, tracefs,
};
use purebpf_handles::attach::{
    Iter, PerfEvent, ProbeMode, RawTracepoint, Target, Trace, Tracepoint, Uprobe, UprobeMulti,
};
use purebpf_handles::{Errno, Error, Link, LinkDetails, LinkId, Map, Program};
use purebpf_insn::{AttachType, LinkType, ProgramType, build, opcode as op};

/// Checks that the program runs when `hit` is called as long as it is attached, and not after.
fn runs_while_attached(program: &Program, target: impl Target, map: &Map, hit: impl Fn()) {
    hit();
    assert_eq!(count(map), 0, "it runs before it is attached");
    let link = program
        .attach(target)
        .unwrap_or_else(|error| common::fail(&error));
    hit();
    let seen = count(map);
    assert_ne!(seen, 0, "it does not run");
    let clone = link.clone();
    drop(link);
    hit();
    assert!(
        count(map) > seen,
        "it stops though a clone of the link is there"
    );
    clone.detach().unwrap_or_else(|error| common::fail(&error));
    clone.detach().unwrap();
    let last = count(map);
    hit();
    assert_eq!(count(map), last, "it runs though it is detached");
}

fn process_id() {
    std::fs::read_link("/proc/self").unwrap();
}

#[test]
fn tracepoint_by_link_runs_the_program() {
    if !root() || !tracefs() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::TRACEPOINT, counting_here(&map));
    let target = Tracepoint::new("raw_syscalls", "sys_enter");
    runs_while_attached(&program, target, &map, process_id);
    let link = program
        .attach(Tracepoint::new("raw_syscalls", "sys_exit").cookie(5))
        .unwrap();
    let info = link.info().unwrap();
    assert_eq!(info.link_type, LinkType::PERF_EVENT);
    assert_eq!(info.program_id, program.id().0);
    assert_eq!(
        info.details,
        LinkDetails::Tracepoint {
            name: "sys_exit".into(),
            cookie: 5
        }
    );
}

/// Counts only in this thread's process, so that others on the machine do not matter.
fn counting_here(map: &Map) -> Vec<purebpf_insn::Insn> {
    use purebpf_insn::Insn;
    let tid = i32::try_from(nix_gettid()).unwrap();
    let mut program = vec![
        build::call(14),
        Insn::new(op::ALU | op::MOV | op::X, 0, 0, 0, 0),
        Insn::new(op::JMP | op::JEQ | op::K, 0, 0, 2, tid),
        build::mov64_imm(0, 0),
        build::exit(),
    ];
    program.extend(counting(map, 0));
    program
}

fn nix_gettid() -> u32 {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn unknown_tracepoint_is_named() {
    if !root() || !tracefs() {
        return;
    }
    let program = load(ProgramType::TRACEPOINT, counting(&counter(), 0));
    let error = program
        .attach(Tracepoint::new("sched", "no_such_event"))
        .unwrap_err();
    assert!(matches!(&error, Error::NotFound { name, .. } if &**name == "sched/no_such_event"));
}

#[test]
fn raw_tracepoint_runs_the_program() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::RAW_TRACEPOINT, counting_here(&map));
    runs_while_attached(&program, RawTracepoint::new("sys_enter"), &map, process_id);
    let link = program.attach(RawTracepoint::new("sys_exit")).unwrap();
    let details = link.info().unwrap().details;
    assert_eq!(
        details,
        LinkDetails::RawTracepoint {
            name: "sys_exit".into(),
            cookie: 0
        }
    );
    let error = program.attach(RawTracepoint::new("no_such")).unwrap_err();
    let message = "program `test_program` at `no_such`: cannot attach it to its raw tracepoint";
    assert_eq!(error.to_string(), message);
    assert_eq!(error.errno(), Some(Errno::ENOENT));
}

#[test]
fn typed_tracepoint_is_attached_by_btf_id() {
    let target = kernel_type(8, "btf_trace_sys_enter");
    if !root() || !can(target.is_some(), "typed tracepoints") {
        return;
    }
    let map = counter();
    let program = load_traced(
        AttachType::TRACE_RAW_TP,
        target.unwrap(),
        counting_here(&map),
    );
    runs_while_attached(&program, Trace::new(), &map, process_id);
    // Of an opened program the kernel does not tell how it is to be attached, and need not.
    let opened = Program::from_id(program.id()).unwrap();
    let link = opened.attach(Trace::new()).unwrap();
    // A typed tracepoint is a raw one to the kernel.
    let details = link.info().unwrap().details;
    assert_eq!(
        details,
        LinkDetails::RawTracepoint {
            name: "sys_enter".into(),
            cookie: 0
        }
    );
    let error = opened.attach(Trace::new().cookie(1)).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn purebpf_test_place(number: u32) -> u32 {
    std::hint::black_box(number) + 1
}

fn this_program() -> String {
    std::env::current_exe()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

fn call_place() {
    std::hint::black_box(purebpf_test_place(std::hint::black_box(1)));
}

fn uprobes() -> bool {
    let unit = "/sys/bus/event_source/devices/uprobe/type";
    root() && can(std::path::Path::new(unit).exists(), "uprobes")
}

fn place() -> Uprobe {
    Uprobe::new(this_program()).symbol("purebpf_test_place")
}

#[test]
fn uprobe_by_name_runs_the_program() {
    if !uprobes() {
        return;
    }
    for retprobe in [false, true] {
        let map = counter();
        let program = load(ProgramType::KPROBE, counting_here(&map));
        runs_while_attached(&program, place().retprobe(retprobe), &map, call_place);
        let link = program.attach(place().retprobe(retprobe).pid(0)).unwrap();
        let details = link.info().unwrap().details;
        assert!(
            matches!(&details, LinkDetails::Uprobe { path, retprobe: found, .. }
                if *path == this_program() && *found == retprobe),
            "{details:?}"
        );
    }
}

#[test]
fn uprobe_has_its_cookie() {
    if !uprobes() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::KPROBE, storing_cookie(&map));
    let _link = program
        .attach(place().pid(0).cookie(0x1122_3344_5566))
        .unwrap();
    call_place();
    assert_eq!(count(&map), 0x1122_3344_5566);
}

#[test]
fn uprobe_of_every_mode_runs_the_program() {
    if !uprobes() || !tracefs() {
        return;
    }
    for mode in [ProbeMode::Legacy, ProbeMode::Perf, ProbeMode::Link] {
        let map = counter();
        let program = load(ProgramType::KPROBE, counting_here(&map));
        runs_while_attached(&program, place().mode(mode), &map, call_place);
        // A cookie takes a link.
        let result = program.attach(place().mode(mode).cookie(1));
        assert_eq!(result.is_ok(), mode == ProbeMode::Link, "{mode:?}");
    }
}

#[test]
fn uprobe_by_offset_and_by_pid_is_the_same_place() {
    if !uprobes() {
        return;
    }
    let bytes = std::fs::read(this_program()).unwrap();
    let binary = purebpf_elf::host::Executable::parse(bytes).unwrap();
    let offset = binary.symbol_offset("purebpf_test_place").unwrap().unwrap();
    let map = counter();
    let program = load(ProgramType::KPROBE, counting_here(&map));
    let target = Uprobe::new(this_program())
        .offset(offset)
        .pid(std::process::id());
    runs_while_attached(&program, target, &map, call_place);
    let error = program
        .attach(Uprobe::new(this_program()).symbol("no_such"))
        .unwrap_err();
    assert!(
        matches!(error, Error::NotFound { what: "symbol", .. }),
        "{error}"
    );
    let error = program
        .attach(Uprobe::new("/proc/self/status").symbol("x"))
        .unwrap_err();
    assert!(matches!(error, Error::Binary { .. }), "{error}");
}

#[test]
fn uprobe_in_an_archive_is_set_on_the_archive() {
    if !uprobes() {
        return;
    }
    // An archive around this very program: a second copy of it that can be looked up.
    let contents = std::fs::read(this_program()).unwrap();
    let name = b"lib/self.so";
    let len = u32::try_from(contents.len()).unwrap();
    let mut bytes = Vec::new();
    bytes.extend(0x0403_4b50_u32.to_le_bytes());
    bytes.extend([0; 14]);
    bytes.extend([len, len].iter().flat_map(|word| word.to_le_bytes()));
    // Contents that are to be mapped begin on a page.
    let pad = 4096 - 30 - name.len();
    bytes.extend(
        [name.len() as u16, pad as u16]
            .iter()
            .flat_map(|half| half.to_le_bytes()),
    );
    bytes.extend(name);
    bytes.resize(4096, 0);
    bytes.extend(contents);
    let directory = bytes.len() as u32;
    bytes.extend(0x0201_4b50_u32.to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend([len, len].iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend(name);
    let directory_len = bytes.len() as u32 - directory;
    bytes.extend(0x0605_4b50_u32.to_le_bytes());
    bytes.extend([0_u16, 0, 1, 1].iter().flat_map(|half| half.to_le_bytes()));
    bytes.extend(
        [directory_len, directory]
            .iter()
            .flat_map(|word| word.to_le_bytes()),
    );
    bytes.extend([0; 2]);
    let path = std::env::temp_dir().join(format!("purebpf-{}.apk", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let program = load(ProgramType::KPROBE, counting(&counter(), 0));
    let binary = format!("{}!/lib/self.so", path.display());
    let result = program.attach(Uprobe::new(&binary).symbol("purebpf_test_place"));
    let missing = program.attach(Uprobe::new(format!("{binary}x")).symbol("purebpf_test_place"));
    std::fs::remove_file(&path).unwrap();
    let details = result
        .unwrap_or_else(|error| common::fail(&error))
        .info()
        .unwrap()
        .details;
    let elf = purebpf_elf::host::Executable::parse(std::fs::read(this_program()).unwrap()).unwrap();
    let offset = elf.symbol_offset("purebpf_test_place").unwrap().unwrap() as u32 + 4096;
    assert!(
        matches!(&details, LinkDetails::Uprobe { offset: found, .. } if *found == offset),
        "{details:?}"
    );
    assert!(matches!(
        missing.unwrap_err(),
        Error::NotFound { what: "member", .. }
    ));
}

#[test]
fn uprobes_of_many_places_are_one_link() {
    if !uprobes() {
        return;
    }
    let map = counter();
    let program = load_for(
        ProgramType::KPROBE,
        AttachType::TRACE_UPROBE_MULTI,
        counting_here(&map),
    );
    let by_pattern = UprobeMulti::pattern(this_program(), "purebpf_test_pl?ce*");
    runs_while_attached(&program, &by_pattern, &map, call_place);
    let by_name = UprobeMulti::symbols(this_program(), ["purebpf_test_place", "main"]);
    let link = program.attach(by_name.cookies([1, 2])).unwrap();
    let details = link.info().unwrap().details;
    assert!(
        matches!(&details, LinkDetails::UprobeMulti { path, count: 2, .. }
            if *path == this_program()),
        "{details:?}"
    );
    let fails = |target: UprobeMulti| program.attach(target).is_err();
    assert!(fails(UprobeMulti::symbols(
        this_program(),
        ["main", "no_such"]
    )));
    assert!(fails(
        UprobeMulti::symbols(this_program(), ["main"]).cookies([1, 2])
    ));
    assert!(fails(UprobeMulti::offsets(this_program(), [])));
    assert!(fails(by_pattern.cookies([1])));
    assert!(fails(UprobeMulti::pattern(this_program(), "no_such_*")));
}

fn spin() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(60) {
        std::hint::spin_loop();
    }
}

#[test]
fn clock_runs_the_program_by_link_and_by_ioctl() {
    if !root() {
        return;
    }
    let clock = || PerfEvent::software(0).period(1_000_000).pid(0);
    for target in [clock(), clock().by_ioctl()] {
        let map = counter();
        let program = load(ProgramType::PERF_EVENT, counting(&map, 0));
        // Time passes before the look at it, so the checks of the helper are too strict here.
        let link = program.attach(&target).unwrap();
        spin();
        assert!(count(&map) > 3, "{}", count(&map));
        link.detach().unwrap();
        let last = count(&map);
        spin();
        assert_eq!(count(&map), last);
        assert!(link.info().is_err());
    }
}

#[test]
fn opened_perf_event_stays_the_callers() {
    if !root() {
        return;
    }
    use purebpf_syscall::perf::{PerfEventOpen, PerfKind, Sampling, perf_event_open};
    let event = perf_event_open(&PerfEventOpen {
        kind: PerfKind::Event {
            event_type: 1,
            config: 0,
        },
        sampling: Sampling::Frequency(1000),
        sample_type: 0,
        wakeup_events: 0,
        pid: Some(0),
        cpu: None,
    })
    .unwrap();
    let map = counter();
    let program = load(ProgramType::PERF_EVENT, counting(&map, 0));
    let target = PerfEvent::from_fd(event).cookie(9);
    let link = program.attach(&target).unwrap();
    spin();
    assert_ne!(count(&map), 0);
    // The type is the number of the clock's own unit.
    let details = link.info().unwrap().details;
    assert!(
        matches!(
            details,
            LinkDetails::PerfEvent {
                config: 0,
                cookie: 9,
                ..
            }
        ),
        "{details:?}"
    );
}

#[test]
fn iterator_is_read_again_and_again() {
    let target = kernel_type(12, "bpf_iter_bpf_map");
    if !root() || !can(target.is_some(), "map iterator") {
        return;
    }
    let map = counter();
    let program = load_traced(AttachType::TRACE_ITER, target.unwrap(), counting(&map, 0));
    let link = program
        .attach(Iter::new())
        .unwrap_or_else(|error| common::fail(&error));
    let walk = || {
        let mut text = String::new();
        link.iterate().unwrap().read_to_string(&mut text).unwrap();
        assert!(text.is_empty());
        count(&map)
    };
    let once = walk();
    assert!(once > 0);
    assert!(walk() > once);
    let details = link.info().unwrap().details;
    assert_eq!(
        details,
        LinkDetails::Iter {
            target_name: "bpf_map".into()
        }
    );
}

#[test]
fn pinned_link_stays_attached_without_handles() {
    if !root() {
        return;
    }
    let bpffs = Bpffs::mount();
    let map = counter();
    let program = load(ProgramType::RAW_TRACEPOINT, counting_here(&map));
    let path = bpffs.path("link");
    let link = program.attach(RawTracepoint::new("sys_enter")).unwrap();
    link.pin(&path).unwrap();
    let id = link.id().unwrap();
    assert!(link.is_pinned().unwrap());
    // The kernel detaches a raw tracepoint only when all is closed.
    assert!(matches!(link.detach().unwrap_err(), Error::Invalid { .. }));
    drop((link, program));
    let seen = count(&map);
    process_id();
    assert!(count(&map) > seen);
    let opened = Link::from_pin(&path).unwrap();
    assert_eq!((opened.id().unwrap(), opened.pin_path()), (id, Some(path)));
    assert!(opened.program().is_none());
    assert!(LinkId::all().any(|other| other.unwrap() == id));
    assert_eq!(Link::from_id(id).unwrap().id().unwrap(), id);
    opened.unpin().unwrap();
    opened.detach().unwrap();
    let last = count(&map);
    process_id();
    assert_eq!(count(&map), last);
    assert!(Link::from_fd(map.as_fd().try_clone_to_owned().unwrap()).is_err());
}

#[test]
fn pinned_perf_link_runs_on_when_handles_go() {
    if !root() || !tracefs() {
        return;
    }
    let bpffs = Bpffs::mount();
    let map = counter();
    let program = load(ProgramType::TRACEPOINT, counting_here(&map));
    let link = program
        .attach(Tracepoint::new("raw_syscalls", "sys_enter"))
        .unwrap();
    link.pin(bpffs.path("link")).unwrap();
    drop(link);
    let seen = count(&map);
    process_id();
    assert!(count(&map) > seen);
    Link::from_pin(bpffs.path("link")).unwrap().unpin().unwrap();
}

#[test]
fn disconnected_link_stays_and_can_still_be_detached() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::RAW_TRACEPOINT, counting_here(&map));
    let link = program.attach(RawTracepoint::new("sys_enter")).unwrap();
    link.disconnect();
    let id = link.id().unwrap();
    drop(link);
    let seen = count(&map);
    process_id();
    assert!(count(&map) > seen);
    assert!(Link::from_id(id).is_ok());
}

#[test]
fn everything_but_the_link_may_go_first() {
    if !uprobes() || !tracefs() {
        return;
    }
    for mode in [ProbeMode::Legacy, ProbeMode::Perf, ProbeMode::Link] {
        let map = counter();
        let program = load(ProgramType::KPROBE, counting_here(&map));
        let link = program.attach(place().mode(mode)).unwrap();
        drop(program);
        call_place();
        assert_ne!(count(&map), 0);
        // Dropped in another thread, where the fd table is the same.
        std::thread::spawn(move || drop(link)).join().unwrap();
        let last = count(&map);
        call_place();
        assert_eq!(count(&map), last);
    }
}
