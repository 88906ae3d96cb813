//! Probes in a program whose symbols and debug information are in a file of their own. These tests
//! start processes, which hold what others want to be closed for a moment: so they are by themselves.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{count, counter, counting, load, load_for, root, since};
use purebpf_handles::Error;
use purebpf_handles::attach::{Uprobe, UprobeMulti};
use purebpf_insn::{AttachType, ProgramType};

/// Whoever runs the program runs it for all who count.
fn one_by_one() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program whose symbols and debug information are in a file beside it, if it can run here.
fn probed() -> Option<String> {
    let inside = std::path::Path::new("tests/host/probed");
    let path = match inside.exists() {
        true => inside.canonicalize().unwrap(),
        false => std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/host/probed"),
    };
    let is_here = cfg!(target_arch = "x86_64");
    (root() && !common::lacks(!is_here, "a program of this machine"))
        .then(|| path.to_str().unwrap().to_owned())
}

/// What it does is known: `first` once, `second` with three turns of its loop.
fn run_probed(path: &str) {
    let status = std::process::Command::new(path).status().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_stripped_program_is_probed_by_the_symbols_of_its_debug_file() {
    let _alone = one_by_one();
    let Some(path) = probed() else {
        return;
    };
    let map = counter();
    let program = load(ProgramType::KPROBE, counting(&map, 0));
    for (target, runs) in [
        (Uprobe::new(&path).symbol("first"), 1),
        (Uprobe::new(&path).symbol("second").retprobe(true), 1),
    ] {
        let before = count(&map);
        let link = program.attach(&target).unwrap();
        run_probed(&path);
        assert_eq!(count(&map) - before, runs);
        drop(link);
        run_probed(&path);
        assert_eq!(count(&map) - before, runs);
    }
    let error = program
        .attach(Uprobe::new(&path).symbol("secand"))
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(
        error.to_string().ends_with("; there is `second`"),
        "{error}"
    );
    if since(6, 6) {
        let attach_type = AttachType::TRACE_UPROBE_MULTI;
        let program = load_for(ProgramType::KPROBE, attach_type, counting(&map, 0));
        let before = count(&map);
        let _link = program
            .attach(UprobeMulti::pattern(&path, "[!x]*"))
            .unwrap_err();
        let _link = program.attach(UprobeMulti::pattern(&path, "*s?*")).unwrap();
        run_probed(&path);
        assert_eq!(count(&map) - before, 3, "first, second, _start");
    }
}

#[cfg(feature = "dwarf")]
#[test]
fn a_program_is_probed_at_lines_and_where_functions_were_inlined() {
    use purebpf_handles::attach::SourcePlace;

    let _alone = one_by_one();
    let Some(path) = probed() else {
        return;
    };
    let source = include_str!("../../tests/host/probed.c");
    let line = |text| {
        let at = source.lines().position(|line| line.contains(text));
        SourcePlace::line("probed.c", at.unwrap() as u64 + 1)
    };
    let map = counter();
    let program = load(ProgramType::KPROBE, counting(&map, 0));
    let runs = |link| {
        let before = count(&map);
        run_probed(&path);
        let runs = count(&map) - before;
        drop::<purebpf_handles::Link>(link);
        run_probed(&path);
        assert_eq!(count(&map) - before, runs);
        runs
    };
    let at = |place| program.attach(Uprobe::new(&path).source(place));
    assert_eq!(runs(at(SourcePlace::function("first")).unwrap()), 1);
    assert_eq!(runs(at(line("leave(first(1)")).unwrap()), 1);
    let error = at(SourcePlace::inlined("twice")).unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    for (place, said) in [
        (SourcePlace::function("third"), "function `third` not found"),
        (
            SourcePlace::line("other.c", 1),
            "source file `other.c` not found",
        ),
        (SourcePlace::line("probed.c", 1), "; there is `probed.c:7`"),
    ] {
        let error = at(place).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    if since(6, 6) {
        let attach_type = AttachType::TRACE_UPROBE_MULTI;
        let program = load_for(ProgramType::KPROBE, attach_type, counting(&map, 0));
        let all = |place| program.attach(UprobeMulti::source(&path, place)).unwrap();
        // Once in `first`, and where `second` comes in.
        assert_eq!(runs(all(SourcePlace::inlined("twice"))), 2);
        assert_eq!(runs(all(line("__asm__ volatile(\"\" :"))), 2);
    }
}
