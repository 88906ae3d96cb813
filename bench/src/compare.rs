//! Every object of a folder, on both sides, each in a process of its own.

use std::path::Path;

use purebpf::insn::{Endian, Insn, disasm};

use crate::reasons::Refusals;
use crate::report::{Failure, MapResult, ProgramRow, Report};
use crate::{known, libbpf, ours, pins, workers};

/// How many objects, programs and maps fared how.
#[derive(Default)]
struct Tally {
    lists_neither: bool,
    objects: usize,
    opened: [usize; 2],
    whole: [usize; 2],
    programs: Outcomes,
    created: Outcomes,
    /// Differences without a known reason, and with one.
    unexplained: usize,
    explained: usize,
    same_insns: usize,
    different_insns: usize,
    insns_of_one: usize,
    same_in_kernel: usize,
    different_in_kernel: usize,
    map_rows: usize,
    different_maps: usize,
    same_infos: [usize; 2],
    different_infos: [usize; 2],
    refusals: Refusals,
}

/// What became of programs, or of maps, each by itself.
#[derive(Default)]
struct Outcomes {
    both: usize,
    neither: usize,
    one: [usize; 2],
}

impl Outcomes {
    fn add(&mut self, theirs: bool, ours: bool) {
        match (theirs, ours) {
            (true, true) => self.both += 1,
            (false, false) => self.neither += 1,
            _ => self.one[usize::from(ours)] += 1,
        }
    }

    fn print(&self, what: &str) {
        let Self { both, neither, one } = self;
        println!(
            "{what:<28} {both} with both, {neither} with neither, {} with libbpf only, {} with purebpf only",
            one[0], one[1]
        );
    }
}

/// What each makes of one object, printed as JSON; neither finds what the other pinned.
pub fn one(file: &Path) -> anyhow::Result<()> {
    pins::apart()?;
    pins::none()?;
    let libbpf = libbpf::results(file);
    pins::none()?;
    let name = file.file_name().unwrap_or_default();
    let report = Report {
        file: name.to_string_lossy().into_owned(),
        libbpf,
        ours: ours::results(file),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

pub fn run(folder: &Path, jobs: usize, neither: bool) -> anyhow::Result<()> {
    let files = workers::objects(folder)?;
    let reports = workers::each(&files, jobs, |file| vec!["one".into(), file.into()]);
    let mut tally = Tally {
        lists_neither: neither,
        ..Tally::default()
    };
    for (file, report) in files.iter().zip(&reports) {
        match report {
            Ok(report) => tally.add(report),
            Err(error) => {
                tally.unexplained += 1;
                println!("{}: {error:#}", file.display());
            }
        }
    }
    tally.refusals.print();
    tally.print();
    anyhow::ensure!(
        tally.unexplained == 0,
        "{} differences that have no known reason",
        tally.unexplained
    );
    Ok(())
}

impl Tally {
    /// A difference in something of a file, or in the whole if `name` is empty.
    fn differ(&mut self, kind: &str, file: &str, name: &str, what: &str) {
        match known::reason(file, name, what) {
            Some(_) => self.explained += 1,
            None => {
                self.unexplained += 1;
                println!("{kind} {file} {name}: {what}");
            }
        }
    }

    fn add(&mut self, report: &Report) {
        let Report { file, libbpf, ours } = report;
        self.objects += 1;
        for (index, side) in [libbpf, ours].into_iter().enumerate() {
            self.opened[index] += usize::from(side.opened());
            self.whole[index] += usize::from(side.whole());
        }
        self.refusals
            .add(file, libbpf.open_error.as_ref(), ours.open_error.as_ref());
        if libbpf.opened() != ours.opened() {
            let why = said(libbpf.open_error.as_ref().or(ours.open_error.as_ref()));
            self.differ("OPEN", file, "", &only(ours.opened(), "opens", &why));
        } else if libbpf.whole() != ours.whole() {
            let why = said(libbpf.whole_error.as_ref().or(ours.whole_error.as_ref()));
            self.differ("WHOLE", file, "", &only(ours.whole(), "loads", &why));
        }
        if libbpf.opened() && ours.opened() {
            self.maps(report);
        }
        for theirs in &libbpf.programs {
            match ours.program(&theirs.name) {
                Some(ours) => self.program(file, theirs, ours),
                None => self.differ("PROGRAM", file, &theirs.name, "not seen"),
            }
        }
        for theirs in &libbpf.created {
            match ours.created.iter().find(|map| map.name == theirs.name) {
                Some(ours) => self.created(file, theirs, ours),
                None => self.differ("MAP", file, &theirs.name, "not seen"),
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
                self.differ(
                    "MAP",
                    file,
                    &theirs.name,
                    &format!("{theirs:?} here {mine:?}"),
                );
            }
        }
    }

    fn created(&mut self, file: &str, theirs: &MapResult, ours: &MapResult) {
        let name = &theirs.name;
        self.created
            .add(theirs.kernel.is_some(), ours.kernel.is_some());
        match (&theirs.kernel, &ours.kernel) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => self.differ("CREATED", file, name, &format!("{a:?} here {b:?}")),
            (None, None) => {
                self.errors(file, name, theirs.failure.as_ref(), ours.failure.as_ref());
            }
            (_, ours_is) => {
                let why = said(ours.failure.as_ref().or(theirs.failure.as_ref()));
                let what = only(ours_is.is_some(), "creates", &why);
                self.differ("CREATE", file, name, &what);
            }
        }
    }

    /// What the kernel refuses it refuses for the same reason; what never came so far has no number.
    fn errors(&mut self, file: &str, name: &str, theirs: Option<&Failure>, ours: Option<&Failure>) {
        let number = |side: Option<&Failure>| side.map_or(0, |failure| failure.errno);
        let why = said(ours);
        let (theirs, ours) = (number(theirs), number(ours));
        let what = format!("{theirs}, here {ours}: {}", first_line(&why));
        if self.lists_neither {
            println!("NEITHER {file} {name}: {what}");
        }
        if ours != 0 && theirs != ours {
            self.differ("ERRNO", file, name, &what);
        }
    }

    fn program(&mut self, file: &str, theirs: &ProgramRow, ours: &ProgramRow) {
        let name = &theirs.name;
        let what = format!("{file} {name}");
        self.refusals
            .add(&what, theirs.failure.as_ref(), ours.failure.as_ref());
        self.programs.add(theirs.loaded, ours.loaded);
        if theirs.loaded != ours.loaded {
            let why = said(ours.failure.as_ref().or(theirs.failure.as_ref()));
            self.differ("LOAD", file, name, &only(ours.loaded, "loads", &why));
        } else if !ours.loaded {
            self.errors(file, name, theirs.failure.as_ref(), ours.failure.as_ref());
        }
        match (&theirs.insns, &ours.insns) {
            (Some(a), Some(b)) if a == b && theirs.maps == ours.maps => self.same_insns += 1,
            (Some(_), Some(_)) => {
                self.different_insns += 1;
                self.differ("INSNS", file, name, &difference(theirs, ours));
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
                    self.differ(label, file, name, &first_difference(theirs, ours));
                }
            }
        }
        if theirs.loaded && ours.loaded && theirs.attach_type != ours.attach_type {
            let (a, b) = (theirs.attach_type, ours.attach_type);
            self.differ("ATTACH TYPE", file, name, &format!("{a:?} here {b:?}"));
        }
        match (&theirs.kernel, &ours.kernel) {
            (Some(a), Some(b)) if a == b => self.same_in_kernel += 1,
            (Some(a), Some(b)) => {
                self.different_in_kernel += 1;
                self.differ("LOADED", file, name, &format!("{a:?} here {b:?}"));
            }
            _ => {}
        }
    }

    fn print(&self) {
        let Self {
            objects,
            opened,
            whole,
            ..
        } = self;
        println!("objects                      {objects}");
        println!("opened     libbpf, purebpf   {}, {}", opened[0], opened[1]);
        println!(
            "loaded     libbpf, purebpf   {}, {} whole",
            whole[0], whole[1]
        );
        self.programs.print("programs, each by itself");
        self.created.print("maps, each by itself");
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
            "programs in the kernel       {} same, {} differ",
            self.same_in_kernel, self.different_in_kernel
        );
        println!(
            "maps as declared             {}, {} differ",
            self.map_rows, self.different_maps
        );
        println!(
            "differences                  {} without a known reason, {} with one",
            self.unexplained, self.explained
        );
    }
}

fn only(is_ours: bool, does: &str, why: &str) -> String {
    let who = if is_ours { "purebpf" } else { "libbpf" };
    format!("only {who} {does} it: {}", first_line(why))
}

fn said(failure: Option<&Failure>) -> String {
    failure.map(Failure::text).unwrap_or_default()
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
