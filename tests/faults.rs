//! Every system call of a load may fail: nothing is left behind then, and the next load succeeds.
//!
//! For each fixture a process of its own loads, attaches, pins, detaches and unpins over and over, each
//! time with another of its calls answered by an error. By default an even sample of them that fits
//! into a minute fails, with one error after the other, and after each there is a turn without;
//! `PUREBPF_FAULTS=all` tries every error on each call, and then has a turn without; `every` the same
//! without leaving calls out that are made over and over. `PUREBPF_FAULTS_ONLY` is a part of the name of
//! the fixtures that are tried.

#![cfg(target_arch = "x86_64")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "support/census.rs"]
mod census;
#[path = "../handles/tests/common/mod.rs"]
mod common;
#[path = "support/intercept.rs"]
mod intercept;
mod support;
#[path = "support/swallowed.rs"]
mod swallowed;
#[path = "support/turn.rs"]
mod turn;
#[path = "support/victim.rs"]
mod victim;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use purebpf::ObjectSpec;

use census::Objects;
use swallowed::{ERRORS, may_go_unnoticed, names_the_step};
use turn::Part;
use victim::{PROGRAMS, Report, Victim, user};

/// Calls that are made this often in a row, as reads of a long file are, fail the first time, in the
/// middle and the last time only, where not every one is to fail.
const RUN: usize = 8;

/// Which calls fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// As many as there is time for, each with one error.
    Sample,
    /// With every error those that [`differing`] finds.
    Differing,
    /// With every error all of them.
    Every,
}

impl Extent {
    fn asked_for() -> Self {
        match std::env::var("PUREBPF_FAULTS").as_deref() {
            Err(_) => Self::Sample,
            Ok("all") => Self::Differing,
            Ok("every") => Self::Every,
            Ok(other) => panic!("PUREBPF_FAULTS is {other}, not all or every"),
        }
    }
}

/// How many fixtures are tried at the same time: much of the time goes into waiting for the kernel to
/// let go of things.
const WORKERS: usize = 2;

/// How long all of it may take where it is a sample.
const SAMPLE: Duration = Duration::from_secs(60);

/// A fixture, or some programs of one.
#[derive(Clone)]
struct Item {
    object: PathBuf,
    /// Its first program.
    first: usize,
}

impl Item {
    fn all_of(object: PathBuf) -> impl Iterator<Item = Self> {
        let programs = ObjectSpec::open(&object).map_or(0, |spec| spec.programs().count());
        let starts = (0..programs.max(1)).step_by(PROGRAMS);
        starts.map(move |first| Self {
            object: object.clone(),
            first,
        })
    }

    fn name(&self) -> String {
        let name = self.object.file_name().unwrap().to_string_lossy();
        name.trim_end_matches(".o").to_owned()
    }
}

/// What came of a fixture, or of all.
#[derive(Default)]
struct Row {
    name: String,
    /// How many items there are, and how many of them this kernel refuses.
    items: usize,
    refused_items: usize,
    /// The calls of a turn, how many of them were tried, and with how many errors in all.
    calls: usize,
    tried: usize,
    injections: usize,
    /// How many of these were passed on, and how many went unnoticed.
    refused: usize,
    swallowed: usize,
    leaks: usize,
    problems: Vec<String>,
    time: Duration,
}

impl Row {
    /// Tries the calls of an item in places of its own; a sample of them within this time.
    fn of(item: &Item, root: &Path, group: &Path, extent: Extent, limit: Duration) -> Self {
        let start = Instant::now();
        let mut row = Self {
            name: item.name(),
            items: 1,
            ..Self::default()
        };
        std::fs::create_dir(root).unwrap();
        std::fs::create_dir(group).unwrap();
        for attaches in [false, true] {
            let part = Part {
                programs: item.first..item.first + PROGRAMS,
                attaches,
            };
            let Some(mut victim) = Victim::start(&item.object, root, group, &part) else {
                row.problem("no fault", "the process ended at once");
                break;
            };
            row.refused_items = usize::from(victim.is_refused);
            row.try_each(&mut victim, extent, limit / 2);
            if victim.links == 0 {
                break;
            }
        }
        std::fs::remove_dir(group).unwrap();
        row.time = start.elapsed();
        row
    }

    fn add(&mut self, other: &Self) {
        self.items += other.items;
        self.refused_items += other.refused_items;
        self.calls += other.calls;
        self.tried += other.tried;
        self.injections += other.injections;
        self.refused += other.refused;
        self.swallowed += other.swallowed;
        self.leaks += other.leaks;
        self.problems.extend_from_slice(&other.problems);
        self.time += other.time;
    }

    fn print(&self) {
        let mark = match self.refused_items {
            0 => String::new(),
            refused => format!(" ({refused} of {} refused by the kernel)", self.items),
        };
        println!(
            "| {}{mark} | {} of {} | {} | {} | {} | {} | {:.1?} |",
            self.name,
            self.tried,
            self.calls,
            self.injections,
            self.refused,
            self.swallowed,
            self.leaks,
            self.time
        );
    }

    fn try_each(&mut self, victim: &mut Victim, extent: Extent, limit: Duration) {
        let start = Instant::now();
        let mut calls = Vec::new();
        let recorded = victim.turn(|call| {
            calls.push(call.describe());
            None
        });
        match recorded {
            None => return self.problem("no fault", "the process ended"),
            Some(report) => self.judge(victim, "no fault", None, &report),
        }
        self.calls += calls.len();
        let is_sample = extent == Extent::Sample;
        let mut tried = match extent {
            Extent::Every => (0..calls.len()).collect(),
            _ => differing(&calls),
        };
        if is_sample {
            spread(&mut tried);
        }
        let errors = if is_sample { 1 } else { ERRORS.len() };
        let before = census::objects();
        let mut faults = Vec::new();
        for (turn, index) in tried.into_iter().enumerate() {
            if is_sample && start.elapsed() > limit {
                break;
            }
            self.tried += 1;
            let mut fault = String::new();
            for error in 0..errors {
                let error = ERRORS[(turn + error) % ERRORS.len()];
                let highest = census::highest();
                let Some(done) = self.inject(victim, index, error) else {
                    return;
                };
                fault = done;
                faults.push((highest, fault.clone()));
            }
            let again = victim.turn(|_| Some(None));
            let again = again.map(|report| report.differs);
            if again != Some(None) {
                self.problem(&fault, &format!("once more: {again:?}"));
            }
        }
        self.count_left(victim, &before, &faults);
    }

    /// What there still is in the kernel of what a process made since `before`, and which failure it is
    /// from: that before which the highest ids of each kind were lower.
    fn count_left(
        &mut self,
        victim: &Victim,
        before: &Objects,
        faults: &[(BTreeMap<&str, u32>, String)],
    ) {
        let own = |line: &String| line.contains(&format!("purebpf_{}_", victim.process));
        for line in census::probes().iter().filter(|line| own(line)) {
            self.leaks += 1;
            self.problem("some fault", &format!("{line} is still there"));
        }
        // Of sleepable programs the kernel lets go when it has been quiet everywhere. What others have for
        // a moment is gone at the next look, since no id is used again.
        let start = Instant::now();
        let look = || census::objects().difference(before).copied().collect();
        let mut left: Objects = look();
        while !left.is_empty() && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
            left = left.intersection(&look()).copied().collect();
            left = census::own(left, user(victim.process).as_raw(), victim.process);
        }
        for (kind, id) in left {
            let by = faults.iter().rfind(|(highest, _)| highest[kind] < id);
            let by = by.map_or("no fault", |(_, fault)| fault);
            self.leaks += 1;
            self.problem(by, &format!("{kind} {id} is still there"));
        }
    }

    /// Lets one call fail; what it was, unless the process ends.
    fn inject(&mut self, victim: &mut Victim, index: usize, error: Errno) -> Option<String> {
        let mut before = index;
        let mut failed = None;
        let root = victim.root.clone();
        let report = victim.turn(|call| {
            if before > 0 {
                before -= 1;
                return None;
            }
            failed = Some(call.describe().replace(&root, "PINS"));
            Some(Some(error))
        });
        let Some(report) = report else {
            self.problem(&format!("{failed:?}, {error:?}"), "the process ended");
            return None;
        };
        // What is asked of all BTF in the kernel depends on what others do.
        let Some(call) = failed else {
            return Some(String::new());
        };
        let fault = format!("{call} (call {index}), {error:?}");
        self.injections += 1;
        self.judge(victim, &fault, Some((&call, error)), &report);
        Some(fault)
    }

    fn judge(
        &mut self,
        victim: &Victim,
        fault: &str,
        injected: Option<(&str, Errno)>,
        report: &Report,
    ) {
        if !report.left.is_empty() {
            self.leaks += 1;
            self.problem(fault, &format!("left {:?}", report.left));
        }
        for text in report.failed.iter().filter(|text| !names_the_step(text)) {
            self.problem(fault, &format!("says only {text}"));
        }
        let Some((call, error)) = injected else {
            return;
        };
        let is_refusal_as_ever = victim.is_refused && report.differs.is_none();
        if is_refusal_as_ever || !report.failed.is_empty() {
            self.refused += 1;
            return;
        }
        if !may_go_unnoticed(call, error, report.differs.is_some()) {
            let differs = report.differs.as_deref().unwrap_or("nothing differs");
            self.problem(fault, &format!("is swallowed, {differs}"));
        }
        self.swallowed += 1;
    }

    fn problem(&mut self, fault: &str, what: &str) {
        self.problems
            .push(format!("{}: {fault}: {what}", self.name));
    }
}

/// The places of calls that are not the same as those around them.
fn differing(calls: &[String]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut start = 0;
    for run in calls.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        match run.len() {
            RUN.. => places.extend([start, start + run.len() / 2, end - 1]),
            _ => places.extend(start..end),
        }
        start = end;
    }
    places
}

/// Puts the first ones evenly among all, however many are taken.
fn spread<T: Clone>(all: &mut Vec<T>) {
    let count = all.len().max(1);
    let is_coprime = |step: &usize| {
        let (mut a, mut b) = (*step, count);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a == 1
    };
    let step = (count * 618 / 1000 + 1..).find(is_coprime).unwrap();
    let places = 0..all.len();
    *all = places
        .map(|turn| all[turn * step % count].clone())
        .collect();
}

#[test]
fn a_sample_has_every_place_once_and_its_start_is_even() {
    let mut places: Vec<usize> = (0..100).collect();
    spread(&mut places);
    let mut start = places[..10].to_vec();
    start.sort();
    assert!(
        start.windows(2).all(|two| two[1] - two[0] < 30),
        "{start:?}"
    );
    places.sort();
    assert_eq!(places, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_load_stopped_at_any_of_its_calls_leaves_nothing_behind() {
    if !common::root() {
        return;
    }
    // Where only the tests are, the machine is an emulated one: each call takes a hundred times as long.
    let is_emulated = !Path::new(env!("CARGO_MANIFEST_DIR")).exists();
    if common::lacks(
        is_emulated,
        "faults in each system call: this machine is emulated",
    ) {
        return;
    }
    let Some(group) = common::Group::create() else {
        return;
    };
    let bpffs = common::FileSystem::mount("bpf");
    let minimal = support::fixture("minimal.bpf.o");
    let only = std::env::var("PUREBPF_FAULTS_ONLY").unwrap_or_default();
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".o") && name.contains(".bpf") && name.contains(&only)
    };
    let entries = std::fs::read_dir(minimal.parent().unwrap()).unwrap();
    let objects = entries.map(|entry| entry.unwrap().path());
    let mut items: Vec<Item> = objects.filter(is_meant).flat_map(Item::all_of).collect();
    items.sort_by_key(|item| (item.name(), item.first));
    assert!(!items.is_empty());
    let extent = Extent::asked_for();
    let is_sample = extent == Extent::Sample;
    let workers = u32::try_from(WORKERS).unwrap();
    let count = u32::try_from(items.len()).unwrap();
    let limit = SAMPLE * workers / count;
    if is_sample {
        spread(&mut items);
    }
    let start = Instant::now();
    let items = Mutex::new(items.into_iter());
    let rows = Mutex::new(BTreeMap::<String, Row>::new());
    let worker = || {
        while !is_sample || start.elapsed() < SAMPLE {
            let Some(item) = items.lock().unwrap().next() else {
                return;
            };
            let name = item.name();
            let place = format!("{}_{}", name.replace('.', "_"), item.first);
            let (root, group) = (bpffs.path(&place), group.0.join(&place));
            let row = Row::of(&item, &root, &group, extent, limit);
            println!("{place}: {:.1?}", row.time);
            let mut rows = rows.lock().unwrap();
            let of_fixture = rows.entry(name.clone()).or_insert_with(|| Row {
                name,
                ..Row::default()
            });
            of_fixture.add(&row);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(worker);
        }
    });
    let rows = rows.into_inner().unwrap();
    let tried: usize = rows.values().map(|row| row.items).sum();
    let mut sum = Row {
        name: format!("{} fixtures, {tried} of {count} parts", rows.len()),
        ..Row::default()
    };
    println!("| fixture | calls | injections | refused | swallowed | leaks | time |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows.values() {
        row.print();
        sum.add(row);
    }
    sum.print();
    assert!(sum.problems.is_empty(), "{:#?}", sum.problems);
    assert!(sum.refused > 0);
}
