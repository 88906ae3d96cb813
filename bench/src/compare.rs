//! Every object of a folder, on both sides, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use purebpf::insn::{Endian, Insn, disasm};

use crate::report::{ProgramRow, Report};

/// How many objects and programs fared how.
#[derive(Default)]
struct Tally {
    objects: usize,
    opened: [usize; 2],
    whole: [usize; 2],
    programs: usize,
    loaded: [usize; 2],
    same_insns: usize,
    different_insns: usize,
    insns_of_one: usize,
    same_tags: usize,
    different_tags: usize,
    map_rows: usize,
    different_maps: usize,
}

pub fn run(folder: &Path, jobs: usize) -> anyhow::Result<()> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "o"))
        .collect();
    files.sort();
    let reports = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = one(file);
                    reports.lock().unwrap().push((file.clone(), report));
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap();
    reports.sort_by(|a, b| a.0.cmp(&b.0));
    let mut tally = Tally::default();
    for (file, report) in &reports {
        match report {
            Ok(report) => tally.add(report),
            Err(error) => println!("{}: {error:#}", file.display()),
        }
    }
    tally.print();
    Ok(())
}

fn one(file: &Path) -> anyhow::Result<Report> {
    let output = Command::new(std::env::current_exe()?)
        .arg("one")
        .arg(file)
        .stderr(Stdio::null())
        .output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the process ended with {}", output.status))
}

impl Tally {
    fn add(&mut self, report: &Report) {
        let Report { file, libbpf, ours } = report;
        self.objects += 1;
        for (index, side) in [libbpf, ours].into_iter().enumerate() {
            self.opened[index] += usize::from(side.opened());
            self.whole[index] += usize::from(side.whole);
            self.loaded[index] += side.programs.iter().filter(|p| p.loaded).count();
        }
        let reason = |error: &Option<String>| error.clone().unwrap_or_default();
        if libbpf.opened() != ours.opened() {
            let who = if ours.opened() { "purebpf" } else { "libbpf" };
            let why = reason(&libbpf.open_error) + &reason(&ours.open_error);
            println!("OPEN {file}: only {who} opens it: {why}");
        } else if libbpf.whole != ours.whole {
            let who = if ours.whole { "purebpf" } else { "libbpf" };
            let why = reason(&libbpf.whole_error) + &reason(&ours.whole_error);
            println!("WHOLE {file}: only {who} loads it: {}", first_line(&why));
        }
        if libbpf.opened() && ours.opened() {
            self.maps(report);
        }
        self.programs += libbpf.programs.len();
        for theirs in &libbpf.programs {
            if let Some(ours) = ours.program(&theirs.name) {
                self.program(file, theirs, ours);
            }
        }
    }

    fn maps(&mut self, report: &Report) {
        let Report { file, libbpf, ours } = report;
        self.map_rows += libbpf.maps.len();
        for theirs in &libbpf.maps {
            let mine = ours.maps.iter().find(|map| map.name == theirs.name);
            if mine != Some(theirs) {
                self.different_maps += 1;
                println!("MAP {file}: {theirs:?} here {mine:?}");
            }
        }
    }

    fn program(&mut self, file: &str, theirs: &ProgramRow, ours: &ProgramRow) {
        let name = &theirs.name;
        if theirs.loaded != ours.loaded {
            let who = if ours.loaded { "purebpf" } else { "libbpf" };
            let why = ours.error.as_ref().or(theirs.error.as_ref());
            let why = first_line(why.map_or("", String::as_str));
            println!("LOAD {file} {name}: only {who} loads it: {why}");
        }
        match (&theirs.insns, &ours.insns) {
            (Some(a), Some(b)) if a == b && theirs.maps == ours.maps => self.same_insns += 1,
            (Some(a), Some(b)) => {
                self.different_insns += 1;
                println!("INSNS {file} {name}: {}", difference(a, b, theirs, ours));
            }
            (None, None) => {}
            _ => self.insns_of_one += 1,
        }
        match (theirs.tag, ours.tag) {
            (Some(a), Some(b)) if a == b => self.same_tags += 1,
            (Some(_), Some(_)) => {
                self.different_tags += 1;
                println!("TAG {file} {name}: the kernel's tags differ");
            }
            _ => {}
        }
    }

    fn print(&self) {
        let Self {
            objects,
            opened,
            whole,
            programs,
            loaded,
            ..
        } = self;
        println!("objects                      {objects}");
        println!("opened     libbpf, purebpf   {}, {}", opened[0], opened[1]);
        println!(
            "loaded     libbpf, purebpf   {}, {} whole",
            whole[0], whole[1]
        );
        println!("programs                     {programs}");
        println!(
            "loaded     libbpf, purebpf   {}, {} each by itself",
            loaded[0], loaded[1]
        );
        println!(
            "final instructions           {} same, {} differ, {} of one side only",
            self.same_insns, self.different_insns, self.insns_of_one
        );
        println!(
            "program tags                 {} same, {} differ",
            self.same_tags, self.different_tags
        );
        println!(
            "maps                         {}, {} differ",
            self.map_rows, self.different_maps
        );
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn difference(a: &[u64], b: &[u64], theirs: &ProgramRow, ours: &ProgramRow) -> String {
    let at = a.iter().zip(b).position(|(a, b)| a != b);
    let Some(at) = at else {
        if a.len() != b.len() {
            return format!("{} instructions, here {}", a.len(), b.len());
        }
        let maps = theirs.maps.iter().zip(&ours.maps).find(|(a, b)| a != b);
        return format!("maps differ: {maps:?}");
    };
    let text = |words: &[u64]| {
        let insns: Vec<Insn> = words
            .iter()
            .skip(at)
            .take(2)
            .map(|word| Insn::from_bytes(word.to_le_bytes(), Endian::Little))
            .collect();
        disasm::disassemble(&insns)
            .next()
            .map_or_else(String::new, |(_, text)| text.to_string())
    };
    format!("instruction {at}: {}, here {}", text(a), text(b))
}
