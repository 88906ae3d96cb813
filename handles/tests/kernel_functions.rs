//! Functions of the running kernel: kprobes made in every way, many at once, and by BTF id.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::ErrorKind;
use std::path::Path;

use common::attached::{perf_details, probe_modes, runs_while_attached, told};
use common::{
    FileSystem, attributes, count, counter, counting, counting_here, jit, kernel_type, lacks, load,
    load_for, load_unless_refused, older_than, only_here, root, since, storing_cookie, tracefs,
    traces_many,
};
use purebpf_btf::Kind;
use purebpf_handles::attach::{
    FirstOf, Kprobe, KprobeMulti, ProbeMode, Trace, Tracepoint, TracingMulti,
};
use purebpf_handles::{Errno, Error, LinkDetails, Program, ProgramAttributes};
use purebpf_insn::{AttachType, Insn, LinkType, ProgramType, build};

/// Runs whenever [`hit`] does, in every kernel on every machine, and is not inlined.
const FUNCTION: &str = "proc_self_get_link";

fn hit() {
    std::fs::read_link("/proc/self").unwrap();
}

/// The address of a function of the kernel.
fn address_of(function: &str) -> Option<u64> {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
    symbols.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        (words.nth(1) == Some(function)).then(|| u64::from_str_radix(address, 16).unwrap())
    })
}

fn kprobes() -> bool {
    let unit = "/sys/bus/event_source/devices/kprobe/type";
    root() && tracefs() && !lacks(!Path::new(unit).exists(), "kprobes")
}

#[test]
fn kprobe_by_name_runs_the_program() {
    if !kprobes() {
        return;
    }
    for retprobe in [false, true] {
        let map = counter();
        let program = load(ProgramType::KPROBE, counting_here(&map));
        let target = Kprobe::new(FUNCTION).retprobe(retprobe);
        runs_while_attached(&program, &target, &map, hit);
        let link = program.attach(&target).unwrap();
        let Some(details) = perf_details(&link) else {
            continue;
        };
        let LinkDetails::Kprobe { address, .. } = details else {
            panic!("{details:?}")
        };
        // Behind the landing pad of an indirect call, if it has one.
        let start = address_of(FUNCTION).unwrap();
        assert!((start..=start + 4).contains(&address), "{address:#x}");
        let expected = LinkDetails::Kprobe {
            function: FUNCTION.into(),
            offset: 0,
            address,
            missed: 0,
            retprobe,
            cookie: 0,
        };
        assert_eq!(details, expected);
    }
}

#[test]
fn kprobe_of_every_mode_runs_the_program_and_leaves_no_event() {
    if !kprobes() {
        return;
    }
    let events = || {
        let file = purebpf_handles::tracefs::root().join("kprobe_events");
        let events = std::fs::read_to_string(file).unwrap();
        events
            .matches(&format!("purebpf_{}_", std::process::id()))
            .count()
    };
    let every_one = probe_modes()
        .iter()
        .flat_map(|mode| [(*mode, false), (*mode, true)]);
    for (mode, retprobe) in every_one {
        let map = counter();
        let program = load(ProgramType::KPROBE, counting_here(&map));
        let target = Kprobe::new(FUNCTION).retprobe(retprobe).mode(mode);
        runs_while_attached(&program, &target, &map, hit);
        let link = program.attach(&target).unwrap();
        let second = program.attach(&target).unwrap();
        let made = if mode == ProbeMode::Legacy { 2 } else { 0 };
        assert_eq!(events(), made, "{mode:?}");
        drop((link, second));
        // A cookie takes a link.
        let with_cookie = program.attach(target.cookie(1));
        assert_eq!(with_cookie.is_ok(), mode == ProbeMode::Link, "{mode:?}");
        drop(with_cookie);
        assert_eq!(events(), 0, "{mode:?}");
    }
}

#[test]
fn kprobe_has_its_cookie() {
    if !kprobes() || older_than(5, 15, "cookies of perf events") {
        return;
    }
    let map = counter();
    let program = load(ProgramType::KPROBE, storing_cookie(&map));
    let target = Kprobe::new(FUNCTION).cookie(0x1122_3344_5566);
    let link = program.attach(target).unwrap();
    hit();
    assert_eq!(count(&map), 0x1122_3344_5566);
    if let Some(details) = perf_details(&link) {
        let expected = told(0x1122_3344_5566);
        let has_it = matches!(details, LinkDetails::Kprobe { cookie, .. } if cookie == expected);
        assert!(has_it, "{details:?}");
    }
}

#[test]
fn kprobe_inside_a_function_is_at_an_instruction() {
    if !kprobes() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::KPROBE, counting_here(&map));
    let at = |offset| Kprobe::new(FUNCTION).offset(offset);
    // Which bytes an instruction begins at is up to the compiler; every path takes the first few.
    let (good, bad): (Vec<u64>, Vec<u64>) =
        (1..20).partition(|offset| program.attach(at(*offset)).is_ok());
    // Four bytes in, behind the landing pad of an indirect call, is the start as well.
    let offset = *good.iter().find(|offset| **offset > 4).unwrap();
    assert!(!bad.is_empty() || cfg!(not(target_arch = "x86_64")));
    let address = address_of(FUNCTION).unwrap() + offset;
    for target in [
        at(offset),
        at(offset).mode(ProbeMode::Legacy),
        Kprobe::at_address(address),
    ] {
        runs_while_attached(&program, &target, &map, hit);
    }
    let link = program.attach(at(offset)).unwrap();
    if let Some(details) = perf_details(&link) {
        let is_there = matches!(&details, LinkDetails::Kprobe { function, offset: found, .. }
            if function == FUNCTION && u64::from(*found) == offset);
        assert!(is_there, "{details:?}");
    }
    // Without a name there is none to make an event of in tracefs; no function returns halfway.
    let by_address = Kprobe::at_address(address).mode(ProbeMode::Legacy);
    let error = program.attach(by_address).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let error = program.attach(at(offset).retprobe(true)).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EINVAL));
}

#[test]
fn kprobe_of_a_system_call_has_its_name_on_this_machine() {
    if !kprobes() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::KPROBE, counting_here(&map));
    let target = Kprobe::syscall("getppid", true);
    runs_while_attached(&program, target, &map, || {
        assert_ne!(std::process::id(), std::os::unix::process::parent_id());
    });
}

#[test]
fn the_first_function_that_is_there_is_taken() {
    if !kprobes() {
        return;
    }
    for mode in probe_modes() {
        let map = counter();
        let program = load(ProgramType::KPROBE, counting_here(&map));
        let place = |name: &str| Kprobe::new(name).mode(*mode);
        let target = || FirstOf::new(place("proc_self_get_link.isra.77"));
        runs_while_attached(&program, target().or(place(FUNCTION)), &map, hit);
        let error = program
            .attach(target().or(place("no_such_one")))
            .unwrap_err();
        assert!(
            error.to_string().contains("proc_self_get_link.isra.77"),
            "{error}"
        );
    }
    let tracepoint = load(ProgramType::TRACEPOINT, counting_here(&counter()));
    let place = |name| Tracepoint::new("syscalls", name);
    let target = FirstOf::new(place("sys_enter_never_heard_of")).or(place("sys_enter_getpid"));
    drop(tracepoint.attach(target).unwrap());
}

#[test]
fn kprobe_at_no_function_is_refused() {
    if !kprobes() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::KPROBE, counting_here(&map));
    for &mode in probe_modes() {
        let error = program
            .attach(Kprobe::new("no_such_function").mode(mode))
            .unwrap_err();
        // In tracefs, later kernels take it for a wrong line.
        let wrong_line = mode == ProbeMode::Legacy && error.errno() == Some(Errno::EINVAL);
        assert!(
            error.errno() == Some(Errno::ENOENT) || wrong_line,
            "{mode:?}: {error}"
        );
    }
    let error = program
        .attach(Kprobe::new("proc_self_get_limk"))
        .unwrap_err();
    let said =
        "there is no function `proc_self_get_limk` of the kernel; there is `proc_self_get_link`";
    assert!(error.to_string().starts_with(said), "{error}");
    let other = load(ProgramType::RAW_TRACEPOINT, counting_here(&map));
    let error = other.attach(Kprobe::new(FUNCTION)).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    let error = program.attach(Kprobe::new("a\0b")).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    if !since(5, 15) {
        let by_link = Kprobe::new(FUNCTION).mode(ProbeMode::Link);
        let error = program.attach(by_link).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}

fn kprobe_multi() -> bool {
    root()
        && tracefs()
        && !older_than(5, 18, "kprobe links of many functions")
        && !lacks(address_of("register_fprobe_ips").is_none(), "fprobe")
}

#[test]
fn kprobes_of_many_functions_are_one_link() {
    if !root() || !tracefs() {
        return;
    }
    let map = counter();
    let attach_type = AttachType::TRACE_KPROBE_MULTI;
    let program = load_for(ProgramType::KPROBE, attach_type, counting_here(&map));
    if !kprobe_multi() {
        let error = program
            .attach(KprobeMulti::symbols([FUNCTION]))
            .unwrap_err();
        match since(5, 18) {
            true => assert_eq!(error.errno(), Some(Errno::EOPNOTSUPP)),
            false => assert!(matches!(error, Error::Unsupported { .. }), "{error}"),
        }
        return;
    }
    let pattern = || KprobeMulti::pattern("proc_sel?_get_link");
    let address = address_of(FUNCTION).unwrap();
    let targets = [
        pattern(),
        pattern().unique_match(true),
        pattern().retprobe(true),
        KprobeMulti::pattern(FUNCTION),
        KprobeMulti::symbols([FUNCTION, "proc_thread_self_get_link"]),
        KprobeMulti::addresses([address]),
    ];
    for target in &targets {
        runs_while_attached(&program, target, &map, hit);
    }
    let link = program
        .attach(KprobeMulti::pattern("proc_*self_get_link").retprobe(true))
        .unwrap();
    let info = link.info().unwrap();
    assert_eq!(info.link_type, LinkType::KPROBE_MULTI);
    if since(6, 6) {
        // BPF_F_KPROBE_MULTI_RETURN
        let LinkDetails::KprobeMulti {
            count: 2,
            flags: 1,
            missed: 0,
            addresses,
            cookies,
        } = info.details
        else {
            panic!("{info:?}");
        };
        assert_eq!(addresses.len(), 2);
        // As above, the landing pad.
        let is_it = |found: &u64| (address..=address + 4).contains(found);
        assert!(addresses.iter().any(is_it), "{addresses:x?}");
        assert_eq!(cookies.len(), if since(6, 9) { 2 } else { 0 });
    }
    let error = |target: KprobeMulti| program.attach(target).unwrap_err();
    let refused = error(KprobeMulti::pattern("proc_*self_get_link").unique_match(true));
    assert!(matches!(refused, Error::Mismatch { .. }), "{refused}");
    let refused = error(KprobeMulti::pattern("no_such_function_*"));
    assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
    let refused = error(KprobeMulti::symbols([FUNCTION, "no_such_function"]));
    assert!(matches!(refused, Error::Missing { .. }), "{refused}");
    assert!(refused.errno().is_some(), "{refused}");
    let refused = error(KprobeMulti::symbols([FUNCTION]).cookies([1, 2]));
    assert!(matches!(refused, Error::Mismatch { .. }), "{refused}");
    for target in [
        pattern().cookies([1]),
        KprobeMulti::symbols([FUNCTION; 0]),
        KprobeMulti::symbols([FUNCTION]).unique_match(true),
        pattern().retprobe(true).session(true),
    ] {
        let refused = error(target);
        assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    }
}

#[test]
fn kprobes_of_many_functions_have_their_cookies() {
    if !kprobe_multi() {
        return;
    }
    let map = counter();
    let attach_type = AttachType::TRACE_KPROBE_MULTI;
    let program = load_for(ProgramType::KPROBE, attach_type, storing_cookie(&map));
    // The kernel sorts the functions, and the cookies with them.
    for functions in [
        ["proc_thread_self_get_link", FUNCTION],
        [FUNCTION, "proc_thread_self_get_link"],
    ] {
        let cookies = functions.map(|function| if function == FUNCTION { 7 } else { 8 });
        let addresses = functions.map(|function| address_of(function).unwrap());
        for target in [
            KprobeMulti::symbols(functions),
            KprobeMulti::addresses(addresses),
        ] {
            let _link = program.attach(target.cookies(cookies)).unwrap();
            hit();
            assert_eq!(count(&map), 7);
            std::fs::read_link("/proc/thread-self").unwrap();
            assert_eq!(count(&map), 8);
        }
    }
}

#[test]
fn functions_traced_by_type_are_one_link() {
    if !root() || !jit() || !tracefs() || !traces_many() {
        return;
    }
    let functions = [FUNCTION, "proc_thread_self_get_link"];
    let ids = functions.map(|function| kernel_type(Kind::Func, function).unwrap());
    for attach_type in [
        AttachType::TRACE_FENTRY_MULTI,
        AttachType::TRACE_FEXIT_MULTI,
        AttachType::TRACE_FSESSION_MULTI,
    ] {
        let map = counter();
        let program = load_for(ProgramType::TRACING, attach_type, counting_here(&map));
        for target in [
            TracingMulti::pattern("proc_*self_get_link"),
            TracingMulti::pattern("vmlinux:proc_sel?_get_link"),
            TracingMulti::ids(ids),
        ] {
            runs_while_attached(&program, &target, &map, hit);
        }
        let link = program.attach(TracingMulti::ids(ids)).unwrap();
        let info = link.info().unwrap();
        assert_eq!(info.link_type, LinkType::TRACING_MULTI);
        drop(link);

        let program = load_for(ProgramType::TRACING, attach_type, storing_cookie(&map));
        let _link = program
            .attach(TracingMulti::ids(ids).cookies([7, 8]))
            .unwrap();
        hit();
        assert_eq!(count(&map), 7);
        std::fs::read_link("/proc/thread-self").unwrap();
        assert_eq!(count(&map), 8);
    }
}

#[test]
fn functions_that_cannot_be_traced_by_type_are_refused() {
    if !root() || !tracefs() || older_than(7, 2, "links of many functions by type") {
        return;
    }
    let map = counter();
    let attach_type = AttachType::TRACE_FENTRY_MULTI;
    let program = load_for(ProgramType::TRACING, attach_type, counting_here(&map));
    let error = |target: TracingMulti| program.attach(target).unwrap_err();
    let refused = error(TracingMulti::pattern("no_such_function_*"));
    assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
    let refused = error(TracingMulti::ids([1]).cookies([1, 2]));
    assert!(matches!(refused, Error::Mismatch { .. }), "{refused}");
    for target in [
        TracingMulti::ids([]),
        TracingMulti::pattern(FUNCTION).cookies([1]),
    ] {
        let refused = error(target);
        assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    }
    let refused = error(TracingMulti::ids([u32::MAX]));
    assert!(refused.errno().is_some(), "{refused}");
}

#[test]
fn session_runs_at_start_and_return() {
    if !kprobe_multi() || older_than(6, 10, "kprobe sessions") {
        return;
    }
    let map = counter();
    let attach_type = AttachType::TRACE_KPROBE_SESSION;
    // 0 at the start asks for the return.
    for (result, runs) in [(0, 2), (1, 1)] {
        let mut instructions = only_here();
        instructions.extend(counting(&map, result));
        let program = load_for(ProgramType::KPROBE, attach_type, instructions);
        let link = program
            .attach(KprobeMulti::pattern("proc_self_get_lin*").session(true))
            .unwrap_or_else(|error| common::fail(&error));
        let before = count(&map);
        hit();
        assert_eq!(count(&map) - before, runs);
        drop(link);
    }
}

/// Loads a program of this type for a function of the kernel; `None`, said as by [`lacks`], if it
/// cannot be.
fn load_on(
    program_type: ProgramType,
    attach_type: AttachType,
    function: &str,
    instructions: Vec<Insn>,
) -> Option<Program> {
    load_unless_refused(&ProgramAttributes {
        expected_attach_type: attach_type,
        attach_btf_id: kernel_type(Kind::Func, function)?,
        ..attributes(program_type, instructions)
    })
}

#[test]
fn function_is_traced_at_its_start_and_return() {
    if !root() || !jit() {
        return;
    }
    for attach_type in [AttachType::TRACE_FENTRY, AttachType::TRACE_FEXIT] {
        let map = counter();
        let load = || {
            load_on(
                ProgramType::TRACING,
                attach_type,
                FUNCTION,
                counting_here(&map),
            )
        };
        let Some(program) = load() else { return };
        runs_while_attached(&program, Trace::new(), &map, hit);
        // Before 5.13 a program is attached once, even if it is detached again.
        let program = match since(5, 13) {
            true => program,
            false => load().unwrap(),
        };
        let link = program.attach(Trace::new()).unwrap();
        let info = link.info().unwrap();
        assert_eq!(info.link_type, LinkType::TRACING);
        let LinkDetails::Tracing {
            attach_type: found,
            target_btf_id,
            ..
        } = info.details
        else {
            panic!("{info:?}")
        };
        // Which function it is, is told since 5.13.
        let target = kernel_type(Kind::Func, FUNCTION).filter(|_| since(5, 13));
        assert_eq!((found, target_btf_id), (attach_type, target.unwrap_or(0)));
        // In two places at once it cannot be.
        let error = program.attach(Trace::new()).unwrap_err();
        let expected = match since(5, 13) {
            true => Errno::EBUSY,
            false => Errno::ENOENT,
        };
        assert_eq!(error.errno(), Some(expected));
    }
}

#[test]
fn traced_function_has_its_cookie() {
    if !root() || !jit() || older_than(6, 0, "cookies of tracing links") {
        return;
    }
    let map = counter();
    let attach_type = AttachType::TRACE_FENTRY;
    let program = load_on(
        ProgramType::TRACING,
        attach_type,
        FUNCTION,
        storing_cookie(&map),
    );
    let Some(program) = program else { return };
    let _link = program
        .attach(Trace::new().cookie(0x1122_3344_5566))
        .unwrap_or_else(|error| common::fail(&error));
    hit();
    assert_eq!(count(&map), 0x1122_3344_5566);
}

/// Checks that a program on this function, which is asked before a link is read, can refuse that.
fn refuses(program_type: ProgramType, attach_type: AttachType, function: &str) {
    let mut instructions = only_here();
    // -EPERM
    instructions.extend([build::mov64_imm(0, -1), build::exit()]);
    let Some(program) = load_on(program_type, attach_type, function, instructions) else {
        return;
    };
    let link = program
        .attach(Trace::new())
        .unwrap_or_else(|error| common::fail(&error));
    let refused = std::fs::read_link("/proc/self");
    link.detach().unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
    hit();
}

#[test]
fn modified_function_returns_what_the_program_does() {
    if root() && jit() {
        let attach_type = AttachType::MODIFY_RETURN;
        refuses(ProgramType::TRACING, attach_type, "security_inode_readlink");
    }
}

#[test]
fn security_hook_decides() {
    if !root() {
        return;
    }
    let security = FileSystem::mount("securityfs");
    let modules = std::fs::read_to_string(security.path("lsm")).unwrap();
    if !lacks(
        modules.split(',').all(|it| it != "bpf"),
        "BPF as a security module",
    ) {
        refuses(
            ProgramType::LSM,
            AttachType::LSM_MAC,
            "bpf_lsm_inode_readlink",
        );
    }
}
