//! Every object of a folder, on both sides, each in a process of its own.

use std::path::Path;

use purebpf::insn::{Endian, Insn, disasm};

use crate::reasons::Refusals;
use crate::report::{Failure, ProgramRow, Report};
use crate::workers;

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
    same_infos: [usize; 2],
    different_infos: [usize; 2],
    refusals: Refusals,
}

pub fn run(folder: &Path, jobs: usize) -> anyhow::Result<()> {
    let files = workers::objects(folder)?;
    let reports = workers::each(&files, jobs, |file| vec!["one".into(), file.into()]);
    let mut tally = Tally::default();
    for (file, report) in files.iter().zip(&reports) {
        match report {
            Ok(report) => tally.add(report),
            Err(error) => println!("{}: {error:#}", file.display()),
        }
    }
    tally.refusals.print();
    tally.print();
    Ok(())
}

impl Tally {
    fn add(&mut self, report: &Report) {
        let Report { file, libbpf, ours } = report;
        self.objects += 1;
        for (index, side) in [libbpf, ours].into_iter().enumerate() {
            self.opened[index] += usize::from(side.opened());
            self.whole[index] += usize::from(side.whole());
            self.loaded[index] += side.programs.iter().filter(|p| p.loaded).count();
        }
        let reason = |error: &Option<Failure>| error.as_ref().map(Failure::text).unwrap_or_default();
        self.refusals
            .add(file, libbpf.open_error.as_ref(), ours.open_error.as_ref());
        if libbpf.opened() != ours.opened() {
            let who = if ours.opened() { "purebpf" } else { "libbpf" };
            let why = reason(&libbpf.open_error) + &reason(&ours.open_error);
            println!("OPEN {file}: only {who} opens it: {why}");
        } else if libbpf.whole() != ours.whole() {
            let who = if ours.whole() { "purebpf" } else { "libbpf" };
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
        if libbpf.maps.is_empty() && !ours.maps.is_empty() {
            println!("MAPS {file}: only purebpf plans them");
        }
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
        let what = format!("{file} {name}");
        self.refusals
            .add(&what, theirs.failure.as_ref(), ours.failure.as_ref());
        if theirs.loaded != ours.loaded {
            let who = if ours.loaded { "purebpf" } else { "libbpf" };
            let why = ours.failure.as_ref().or(theirs.failure.as_ref());
            let why = why.map(Failure::text).unwrap_or_default();
            println!("LOAD {file} {name}: only {who} loads it: {}", first_line(&why));
        }
        match (&theirs.insns, &ours.insns) {
            (Some(a), Some(b)) if a == b && theirs.maps == ours.maps => self.same_insns += 1,
            (Some(_), Some(_)) => {
                self.different_insns += 1;
                println!("INSNS {file} {name}: {}", difference(theirs, ours));
            }
            (None, None) => {}
            _ => self.insns_of_one += 1,
        }
        if theirs.insns.is_some() && ours.insns.is_some() {
            let infos = [
                ("FUNC_INFO", &theirs.func_info, &ours.func_info),
                ("LINE_INFO", &theirs.line_info, &ours.line_info),
            ];
            for (index, (label, theirs, ours)) in infos.into_iter().enumerate() {
                if theirs == ours {
                    self.same_infos[index] += 1;
                } else {
                    self.different_infos[index] += 1;
                    println!("{label} {what}: {}", first_difference(theirs, ours));
                }
            }
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
        for (index, label) in ["function", "line"].into_iter().enumerate() {
            println!(
                "{:<28} {} same, {} differ",
                format!("{label} information"),
                self.same_infos[index],
                self.different_infos[index]
            );
        }
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

/// The first words that differ.
fn first_difference(theirs: &[u32], ours: &[u32]) -> String {
    match theirs.iter().zip(ours).position(|(a, b)| a != b) {
        Some(at) => format!("word {at}: {}, here {}", theirs[at], ours[at]),
        None => format!("{} words, here {}", theirs.len(), ours.len()),
    }
}

/// How the final instructions of a program differ, and what goes with them.
pub fn difference(theirs: &ProgramRow, ours: &ProgramRow) -> String {
    let of = |row: &ProgramRow| row.insns.clone().unwrap_or_default();
    let (a, b) = (of(theirs), of(ours));
    let at = a.iter().zip(&b).position(|(a, b)| a != b);
    let Some(at) = at else {
        if a.len() != b.len() {
            return format!("{} instructions, here {}", a.len(), b.len());
        }
        if theirs.maps != ours.maps {
            let maps = theirs.maps.iter().zip(&ours.maps).find(|(a, b)| a != b);
            return format!("maps differ: {maps:?}");
        }
        let functions = first_difference(&theirs.func_info, &ours.func_info);
        let lines = first_difference(&theirs.line_info, &ours.line_info);
        return format!("function information: {functions}; line information: {lines}");
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
    format!("instruction {at}: {}, here {}", text(&a), text(&b))
}
