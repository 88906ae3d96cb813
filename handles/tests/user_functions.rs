//! Functions of user space on the running kernel: uprobes made in every way, and many at once.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::atomic::{AtomicU16, Ordering};

use common::attached::{perf_details, probe_modes, runs_while_attached};
use common::{
    can, count, counter, counting, counting_here, load, load_for, older_than, only_here, root,
    since, storing_cookie, tracefs,
};
use purebpf_handles::attach::{ProbeMode, Uprobe, UprobeMulti};
use purebpf_handles::{Error, LinkDetails};
use purebpf_insn::{AttachType, ProgramType};

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

/// As [`purebpf_test_place`], for probes with a counter: a place has the same one for everybody.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn purebpf_test_counted(number: u32) -> u32 {
    std::hint::black_box(number) + 2
}

/// Offset in this program's file of a counter that is zero.
fn counter_offset(counter: &AtomicU16) -> u64 {
    let address = std::ptr::from_ref(counter).addr() as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let offset = maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (range, offset) = (words.next()?, words.nth(1)?);
        let (start, end) = range.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).unwrap();
        let start = hex(start);
        (start..hex(end))
            .contains(&address)
            .then(|| address - start + hex(offset))
    });
    offset.unwrap()
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
        let Some(details) = perf_details(&link) else {
            continue;
        };
        assert!(
            matches!(&details, LinkDetails::Uprobe { path, retprobe: found, .. }
                if *path == this_program() && *found == retprobe),
            "{details:?}"
        );
    }
}

#[test]
fn uprobe_has_its_cookie() {
    if !uprobes() || older_than(5, 15, "cookies of perf events") {
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
    for &mode in probe_modes() {
        let map = counter();
        let program = load(ProgramType::KPROBE, counting_here(&map));
        runs_while_attached(&program, place().mode(mode), &map, call_place);
        // A cookie takes a link.
        let result = program.attach(place().mode(mode).cookie(1));
        assert_eq!(result.is_ok(), mode == ProbeMode::Link, "{mode:?}");
    }
    if !probe_modes().contains(&ProbeMode::Link) {
        let program = load(ProgramType::KPROBE, counting_here(&counter()));
        let error = program.attach(place().mode(ProbeMode::Link)).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
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
    let link = result.unwrap_or_else(|error| common::fail(&error));
    let elf = purebpf_elf::host::Executable::parse(std::fs::read(this_program()).unwrap()).unwrap();
    let offset = elf.symbol_offset("purebpf_test_place").unwrap().unwrap() as u32 + 4096;
    if let Some(details) = perf_details(&link) {
        let is_there = matches!(&details, LinkDetails::Uprobe { offset: found, .. }
            if *found == offset);
        assert!(is_there, "{details:?}");
    }
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
    if !since(6, 6) {
        let error = program.attach(by_pattern).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        return;
    }
    runs_while_attached(&program, &by_pattern, &map, call_place);
    let by_name = UprobeMulti::symbols(this_program(), ["purebpf_test_place", "main"]);
    let link = program.attach(by_name.cookies([1, 2])).unwrap();
    let details = link.info().unwrap().details;
    let told = matches!(&details, LinkDetails::UprobeMulti { path, count: 2, offsets, cookies, .. }
        if *path == this_program() && offsets.len() == 2 && cookies == &[1, 2]);
    assert_eq!(told, since(6, 8), "{details:?}");
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

#[test]
fn uprobes_of_many_places_run_at_returns_in_one_process_with_cookies() {
    if !uprobes() || older_than(6, 6, "uprobe links of many places") {
        return;
    }
    let attach_type = AttachType::TRACE_UPROBE_MULTI;
    let map = counter();
    let program = load_for(ProgramType::KPROBE, attach_type, counting_here(&map));
    let bytes = std::fs::read(this_program()).unwrap();
    let binary = purebpf_elf::host::Executable::parse(bytes).unwrap();
    let offset = binary.symbol_offset("purebpf_test_place").unwrap().unwrap();
    let place = || UprobeMulti::offsets(this_program(), [offset]);
    for target in [place(), place().retprobe(true), place().pid(0)] {
        runs_while_attached(&program, target, &map, call_place);
    }
    for retprobe in [false, true] {
        let link = program.attach(place().retprobe(retprobe)).unwrap();
        let details = link.info().unwrap().details;
        // BPF_F_UPROBE_MULTI_RETURN
        let told = matches!(details, LinkDetails::UprobeMulti { count: 1, flags, offsets, .. }
            if flags == u32::from(retprobe) && offsets == [offset]);
        assert!(told || !since(6, 8), "retprobe: {retprobe}");
    }
    let before = count(&map);
    let _elsewhere = program.attach(place().pid(1)).unwrap();
    call_place();
    assert_eq!(count(&map), before);
    let map = counter();
    let program = load_for(ProgramType::KPROBE, attach_type, storing_cookie(&map));
    let both = UprobeMulti::symbols(this_program(), ["main", "purebpf_test_place"]);
    let _link = program.attach(both.cookies([5, 6])).unwrap();
    call_place();
    assert_eq!(count(&map), 6);
}

#[test]
fn uprobe_session_runs_at_start_and_return() {
    if !uprobes() || older_than(6, 13, "uprobe sessions") {
        return;
    }
    let attach_type = AttachType::TRACE_UPROBE_SESSION;
    // 0 at the start asks for the return.
    for (result, runs) in [(0, 2), (1, 1)] {
        let map = counter();
        let mut instructions = only_here();
        instructions.extend(counting(&map, result));
        let program = load_for(ProgramType::KPROBE, attach_type, instructions);
        let target = UprobeMulti::symbols(this_program(), ["purebpf_test_place"]);
        let _link = program.attach(target.session(true)).unwrap();
        call_place();
        assert_eq!(count(&map), runs);
    }
}

#[test]
fn counter_in_the_binary_is_not_zero_while_a_probe_is_there() {
    if !uprobes() {
        return;
    }
    // The second keeps the first, which is zero, among the data that is in the file.
    static COUNTERS: [AtomicU16; 2] = [AtomicU16::new(0), AtomicU16::new(1)];
    let counted = std::hint::black_box(&COUNTERS[0]);
    let now = || counted.load(Ordering::SeqCst);
    let offset = counter_offset(counted);
    assert_eq!(purebpf_test_counted(1), 3);
    let place = || Uprobe::new(this_program()).symbol("purebpf_test_counted");
    let program = load(ProgramType::KPROBE, counting(&counter(), 0));
    for &mode in probe_modes() {
        let result = program.attach(place().ref_ctr_offset(offset).mode(mode));
        if mode == ProbeMode::Legacy {
            assert!(
                matches!(result, Err(Error::Unsupported { .. })),
                "{result:?}"
            );
            continue;
        }
        assert_eq!(now(), 1, "{mode:?}");
        let link = result.unwrap();
        let details = (mode == ProbeMode::Link).then(|| perf_details(&link));
        if let Some(details) = details.flatten() {
            let told = matches!(details, LinkDetails::Uprobe { ref_ctr_offset, .. }
                if ref_ctr_offset == offset);
            assert_eq!(told, since(6, 16), "{details:?}");
        }
        drop(link);
        assert_eq!(now(), 0, "{mode:?}");
    }
    let too_far = place().ref_ctr_offset(1 << 32);
    let error = program.attach(too_far).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    if since(6, 6) {
        let attach_type = AttachType::TRACE_UPROBE_MULTI;
        let program = load_for(ProgramType::KPROBE, attach_type, counting(&counter(), 0));
        let many = UprobeMulti::symbols(this_program(), ["purebpf_test_counted"]);
        let link = program.attach(many.ref_ctr_offsets([offset])).unwrap();
        assert_eq!(now(), 1);
        drop(link);
        assert_eq!(now(), 0);
    }
}

#[test]
fn everything_but_the_link_may_go_first() {
    if !uprobes() || !tracefs() {
        return;
    }
    for &mode in probe_modes() {
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
