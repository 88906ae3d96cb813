//! Every system call of a load may fail: nothing is left behind then, and the next load succeeds.
//!
//! A process of its own loads, attaches and pins while strace lets one of its calls fail. By default
//! each call fails once, each with another error; `PUREBPF_FAULTS=all` tries every error on each.

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
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use purebpf::plan::PinPolicy;
use purebpf::{Loader, ObjectSpec};

const ROOT: &str = "PUREBPF_TEST_BPFFS";
const FIXTURES: [&str; 5] = ["choices", "maps", "minimal", "globals", "struct_ops"];
const CALLS: [&str; 8] = [
    "bpf",
    "perf_event_open",
    "ioctl",
    "openat",
    "mkdir",
    "unlink",
    "rename",
    "statfs",
];
const ERRORS: [&str; 6] = ["EPERM", "ENOMEM", "EAGAIN", "EINTR", "EMFILE", "ENOSPC"];

/// How many processes load at the same time.
const WORKERS: usize = 12;

/// Loads, attaches and pins every fixture, and takes it all back.
fn attempt(root: &Path) -> Result<(), Box<dyn Error>> {
    for fixture in FIXTURES {
        let mut spec = ObjectSpec::open(support::fixture(&format!("{fixture}.bpf.o")))?;
        if let Ok(refused) = spec.program_mut("refused") {
            refused.autoload = false;
        }
        if let Ok(ops) = spec.struct_ops_mut("plain") {
            // Others do the same at the same time.
            let mut name = [0; 16];
            let text = format!("purebpf{}", std::process::id());
            name[..text.len()].copy_from_slice(text.as_bytes());
            ops.set("name", name)?;
        }
        for (name, policy) in [
            ("first", PinPolicy::ReuseOrCreate),
            ("second", PinPolicy::Replace),
        ] {
            if let Ok(map) = spec.map_mut(name) {
                map.pin_path = Some(root.join(name));
                map.pin_policy = policy;
            }
        }
        let object = Loader::new().pin_root(root).load(&spec)?;
        // What the load pinned stays, whatever becomes of the rest; whoever wants it gone says so.
        let pinned = Pinned(object.clone());
        let links = object.attach_all()?;
        object.pin(root.join(fixture))?;
        drop((links, pinned));
        std::fs::remove_dir(root.join(fixture))?;
    }
    Ok(())
}

struct Pinned(purebpf::Object);

impl Drop for Pinned {
    fn drop(&mut self) {
        for (_, map) in self.0.maps().filter(|(_, map)| map.pin_path().is_some()) {
            map.unpin().or_else(|_| map.unpin()).unwrap();
        }
        let pinned = |program: &purebpf::Program| program.pin_path().is_some();
        for (_, program) in self.0.programs().filter(|(_, program)| pinned(program)) {
            program.unpin().or_else(|_| program.unpin()).unwrap();
        }
    }
}

/// How many fds are open, and what is below a folder; asked again should that be what fails.
fn left(root: &Path) -> (usize, Vec<PathBuf>) {
    let look = || -> std::io::Result<_> {
        let fds = std::fs::read_dir("/proc/self/fd")?.count();
        let entries = std::fs::read_dir(root)?.map(|entry| entry.map(|entry| entry.path()));
        Ok((fds, entries.collect::<std::io::Result<Vec<_>>>()?))
    };
    look().or_else(|_| look()).unwrap()
}

#[test]
#[ignore = "run by the test below, under strace"]
fn victim() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    let before = left(&root);
    if let Err(error) = attempt(&root) {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        println!("failed: {text}");
        // An empty folder for pins may be left: the one that was to be removed last.
        for fixture in FIXTURES {
            std::fs::remove_dir(root.join(fixture)).ok();
        }
    }
    assert_eq!(left(&root), before);
    attempt(&root).unwrap();
    assert_eq!(left(&root), before);
}

fn strace(root: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new("strace")
        .args(["-f", "-qq"])
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--ignored", "--show-output"])
        .env(ROOT, root)
        .output()
        .unwrap()
}

/// How often the thread that loads makes each call, in one attempt of the two.
fn counts(root: &Path, trace: &Path) -> HashMap<&'static str, usize> {
    let trace_calls = format!("trace={}", CALLS.join(","));
    let output = strace(root, &["-e", &trace_calls, "-o", trace.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(trace).unwrap();
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let mut loader = "";
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let name = call.trim_start().split('(').next().unwrap();
        if name == "bpf" {
            loader = thread;
        }
        *counts.entry((thread, name)).or_default() += 1;
    }
    let of = |name| counts.get(&(loader, name)).copied().unwrap_or(0) / 2;
    CALLS.iter().map(|name| (*name, of(*name))).collect()
}

#[test]
fn a_load_stopped_at_any_of_its_calls_leaves_nothing_behind() {
    if !common::root() {
        return;
    }
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if support::lacks(!has_strace, "strace") {
        return;
    }
    let bpffs = common::FileSystem::mount("bpf");
    let root = bpffs.path("root");
    std::fs::create_dir(&root).unwrap();
    let trace = std::env::temp_dir().join(format!("purebpf-trace-{}", std::process::id()));
    let counts = counts(&root, &trace);
    std::fs::remove_file(&trace).unwrap();
    assert!(counts["bpf"] > 20, "{counts:?}");

    let all = std::env::var_os("PUREBPF_FAULTS").is_some();
    let mut faults = Vec::new();
    for call in CALLS {
        for when in 1..=counts[call] {
            let errors = match all {
                true => &ERRORS[..],
                false => &ERRORS[when % ERRORS.len()..][..1],
            };
            faults.extend(errors.iter().map(|error| (call, when, *error)));
        }
    }
    let total = faults.len();
    let faults = Mutex::new(faults);
    // Most of the time is spent waiting for the kernel to let go of things.
    let failures: usize = std::thread::scope(|scope| {
        let (root, faults) = (&root, &faults);
        let worker = move |index: usize| {
            let root = root.join(format!("worker{index}"));
            std::fs::create_dir(&root).unwrap();
            let mut failures = 0;
            loop {
                let Some(fault) = faults.lock().unwrap().pop() else {
                    break failures;
                };
                failures += usize::from(fails(&root, fault));
            }
        };
        let workers: Vec<_> = (0..WORKERS)
            .map(|index| scope.spawn(move || worker(index)))
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    println!("{counts:?}: {total} calls failed, and {failures} loads for that");
    assert!(failures > 0);
}

/// Lets one call fail; whether the load failed for that.
fn fails(root: &Path, (call, when, error): (&str, usize, &str)) -> bool {
    let inject = format!("inject={call}:error={error}:when={when}");
    let trace = format!("trace={call}");
    let output = strace(root, &["-e", &trace, "-e", &inject, "-o", "/dev/null"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{inject}\n{text}");
    // Whatever failed, it is said what was to be done.
    let said = text.lines().find(|line| line.starts_with("failed: "));
    assert!(said.is_none_or(|line| line.len() > 20), "{inject}: {text}");
    said.is_some()
}
