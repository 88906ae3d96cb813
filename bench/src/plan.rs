//! What to load of every object of a folder for other kernels, whose BTF is in files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use purebpf::btf::{Btf, source};
use serde::{Deserialize, Serialize};

use crate::compare::difference;
use crate::reasons::Refusals;
use crate::report::{ProgramRow, Side};
use crate::{libbpf, ours, workers};

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder
    folder: PathBuf,
    /// Files with the kernels' BTF: raw, ELF files, boot images
    #[arg(long, required = true, num_args = 1..)]
    btf: Vec<PathBuf>,
    /// Plan every program by itself as well, not only where the whole object cannot be planned
    #[arg(long)]
    alone: bool,
    /// How many objects at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

/// One object, or one of its programs, for one kernel.
#[derive(Serialize, Deserialize)]
pub struct Row {
    kernel: usize,
    program: Option<String>,
    libbpf: Side,
    ours: Side,
}

#[derive(Default)]
struct Tally {
    objects: usize,
    same: usize,
    differ: usize,
    libbpf_only: usize,
    ours_only: usize,
    neither: usize,
    poisons: usize,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let files = workers::objects(&arguments.folder)?;
    let folder = std::env::temp_dir().join(format!("purebpf-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = compare(arguments, &files, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn compare(arguments: &Arguments, files: &[PathBuf], folder: &Path) -> anyhow::Result<()> {
    let mut kernels = Vec::new();
    for (index, file) in arguments.btf.iter().enumerate() {
        let raw = folder.join(index.to_string());
        let btf = source::find(&std::fs::read(file)?)
            .with_context(|| format!("no BTF in {}", file.display()))?;
        std::fs::write(&raw, btf.btf)?;
        kernels.push(raw);
    }
    let reports = workers::each::<_, Vec<Row>>(files, arguments.jobs, |file| {
        let mut words: Vec<OsString> = vec!["plan-one".into(), file.into(), "--btf".into()];
        words.extend(kernels.iter().map(OsString::from));
        words.extend(arguments.alone.then(|| "--alone".into()));
        words
    });
    let mut tallies: Vec<Tally> = kernels.iter().map(|_| Tally::default()).collect();
    let mut refusals = Refusals::default();
    for (file, report) in files.iter().zip(reports) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        match report {
            Ok(rows) => {
                for row in rows {
                    let kernel = name_of(&arguments.btf[row.kernel]);
                    tallies[row.kernel].add(&format!("{name} {kernel}"), &row, &mut refusals);
                }
            }
            Err(error) => println!("{name}: {error:#}"),
        }
    }
    refusals.print();
    println!("kernel  objects  programs same  differ  libbpf only  purebpf only  neither  poisons");
    for (file, tally) in arguments.btf.iter().zip(&tallies) {
        println!(
            "{}  {}  {}  {}  {}  {}  {}  {}",
            name_of(file),
            tally.objects,
            tally.same,
            tally.differ,
            tally.libbpf_only,
            tally.ours_only,
            tally.neither,
            tally.poisons
        );
    }
    Ok(())
}

/// The name of a file; of one that is named as every kernel is, that of its folder.
fn name_of(file: &Path) -> String {
    let named = match file.file_name() {
        Some(name) if name == "vmlinuz" || name == "vmlinux" => file.parent(),
        _ => Some(file),
    };
    let name = named.and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether an instruction is the call that stands for a CO-RE relocation without a target.
fn is_poison(word: &u64) -> bool {
    *word == (0x0bad_2310 << 32 | 0x85)
}

impl Tally {
    fn add(&mut self, what: &str, row: &Row, refusals: &mut Refusals) {
        let Row {
            program,
            libbpf,
            ours,
            ..
        } = row;
        let failure = |side: &Side| side.open_error.clone().or(side.whole_error.clone());
        let what = match program {
            Some(program) => format!("{what} {program}"),
            None => what.to_owned(),
        };
        refusals.add(&what, failure(libbpf).as_ref(), failure(ours).as_ref());
        self.objects += usize::from(program.is_none());
        // What is planned program by program is counted there.
        if program.is_none() && !(libbpf.whole() && ours.whole()) {
            return;
        }
        let ours: BTreeMap<&str, &ProgramRow> =
            ours.programs.iter().map(|p| (p.name.as_str(), p)).collect();
        for theirs in &libbpf.programs {
            if program.as_ref().is_some_and(|only| *only != theirs.name) {
                continue;
            }
            let mine = ours.get(theirs.name.as_str()).copied();
            let Some((a, b)) = theirs
                .insns
                .as_ref()
                .zip(mine.and_then(|p| p.insns.as_ref()))
            else {
                // Without `program`, one that is loaded only if asked for.
                let (who, count) = match (&theirs.insns, mine.and_then(|p| p.insns.as_ref())) {
                    (Some(_), None) => ("libbpf", &mut self.libbpf_only),
                    (None, Some(_)) => ("purebpf", &mut self.ours_only),
                    _ if program.is_some() => ("neither", &mut self.neither),
                    _ => continue,
                };
                *count += 1;
                if who != "neither" {
                    println!("ONE SIDE {what} {}: only {who} plans it", theirs.name);
                }
                continue;
            };
            let Some(mine) = mine else { continue };
            self.poisons += a.iter().filter(|word| is_poison(word)).count();
            if a == b
                && theirs.maps == mine.maps
                && theirs.func_info == mine.func_info
                && theirs.line_info == mine.line_info
            {
                self.same += 1;
            } else {
                self.differ += 1;
                println!(
                    "DIFFER {what} {}: {}",
                    theirs.name,
                    difference(theirs, mine)
                );
            }
        }
    }
}

/// Plans one object for each kernel, and prints the rows as JSON.
pub fn one(file: &Path, kernels: &[PathBuf], alone: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (kernel, path) in kernels.iter().enumerate() {
        let btf = Arc::new(Btf::parse(std::fs::read(path)?)?);
        let row = |program: Option<&str>| Row {
            kernel,
            program: program.map(ToOwned::to_owned),
            libbpf: libbpf::prepared(file, Some(path), program),
            ours: ours::planned(file, Some(&btf), program),
        };
        let whole = row(None);
        let each = alone || !(whole.libbpf.whole() && whole.ours.whole());
        let programs = whole.libbpf.programs.iter();
        let names: Vec<String> = programs
            .filter(|program| each || program.insns.is_none())
            .map(|program| program.name.clone())
            .collect();
        rows.push(whole);
        rows.extend(names.iter().map(|name| row(Some(name))));
    }
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}
