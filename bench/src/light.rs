//! Loader programs of both sides, of the same objects: which are generated, whether they are the
//! same bytes, and what both load here. Each object in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use purebpf::insn::{Endian, Insn};
use purebpf::light::{LightLoader, LightMap, LightOptions, LightProgram};
use purebpf::{ObjectSpec, RunningKernel, light};
use serde::{Deserialize, Serialize};

use crate::libbpf::Generated;

/// One object, whole or with a single program.
#[derive(Serialize, Deserialize)]
struct Row {
    /// The program; nothing stands for the whole object.
    program: Option<String>,
    libbpf: Side,
    ours: Side,
    same_data: bool,
    same_insns: bool,
}

/// What became of it on one side.
#[derive(Serialize, Deserialize)]
enum Side {
    NotGenerated(String),
    NotLoaded(String),
    /// The tags of its programs, and the attributes of its maps.
    Loaded(Vec<[u8; 8]>, Vec<String>),
}

impl Side {
    fn is_generated(&self) -> bool {
        !matches!(self, Self::NotGenerated(_))
    }

    fn reason(&self) -> &str {
        match self {
            Self::NotGenerated(reason) | Self::NotLoaded(reason) => reason,
            Self::Loaded(..) => "",
        }
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    let sources: String = sources.map(|error| format!(": {error}")).collect();
    format!("{error}{sources}")
}

fn load(loader: &LightLoader) -> Side {
    match light::run(loader, &LightOptions::new()) {
        Ok(object) => {
            let maps = object.maps().map(|(name, map)| {
                let info = map.info().unwrap();
                format!(
                    "{name} {} {} {} {} {:?} {:#x} {} {}",
                    info.map_type,
                    info.key_size,
                    info.value_size,
                    info.max_entries,
                    info.flags,
                    info.map_extra,
                    info.name,
                    info.btf_id != 0,
                )
            });
            Side::Loaded(
                object.programs().map(|(_, p)| p.tag()).collect(),
                maps.collect(),
            )
        }
        Err(error) => Side::NotLoaded(format!("errno {}", error.errno().unwrap_or(0))),
    }
}

/// libbpf's loader, whose context has the same order as ours.
fn of_libbpf(generated: Generated) -> LightLoader {
    let insns = Insn::read_all(&generated.insns, Endian::HOST).unwrap();
    let mut loader = LightLoader::new("libbpf", Endian::HOST, generated.data, insns);
    let map = |name| LightMap {
        name,
        section: None,
        map_type: purebpf::MapType::UNSPEC,
        key_size: 0,
        value_size: 0,
        max_entries: 0,
        flags: purebpf::MapFlags::empty(),
    };
    let program = |name| LightProgram {
        name,
        section: String::new(),
        program_type: purebpf::ProgramType::UNSPEC,
        attach_type: purebpf::AttachType(0),
        autoattach: false,
    };
    loader.maps = generated.maps.into_iter().map(map).collect();
    loader.programs = generated.programs.into_iter().map(program).collect();
    loader
}

fn compare(path: &Path, spec: &ObjectSpec, program: Option<&str>) -> Row {
    let mut spec = spec.clone();
    if let Some(name) = program {
        spec.programs_mut()
            .for_each(|program| program.autoload = program.name == name);
    }
    let ours = LightLoader::generate(&spec, &RunningKernel::get());
    let theirs = crate::libbpf::generate(path, program).map(of_libbpf);
    let (same_data, same_insns) = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => (ours.data == theirs.data, ours.insns == theirs.insns),
        _ => (false, false),
    };
    Row {
        program: program.map(ToOwned::to_owned),
        libbpf: theirs.map_or_else(
            |errno| Side::NotGenerated(format!("errno {errno}")),
            |loader| load(&loader),
        ),
        ours: ours.map_or_else(
            |error| Side::NotGenerated(chain(&error)),
            |loader| load(&loader),
        ),
        same_data,
        same_insns,
    }
}

/// Compares one object, and prints a line of JSON for each comparison.
pub fn one(path: &Path) -> anyhow::Result<()> {
    let spec = ObjectSpec::open(path)?;
    println!("{}", serde_json::to_string(&compare(path, &spec, None))?);
    for program in spec.programs() {
        let row = compare(path, &spec, Some(&program.name));
        println!("{}", serde_json::to_string(&row)?);
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    rows: usize,
    generated: [usize; 2],
    loaded: [usize; 2],
    same_data: usize,
    same_insns: usize,
    same: usize,
    differ: usize,
}

/// Compares files, and prints what differs and a summary: of objects, and of single programs.
pub fn run(files: &[PathBuf]) -> anyhow::Result<()> {
    let mut tallies = [Tally::default(), Tally::default()];
    for file in files {
        let output = Command::new(std::env::current_exe()?)
            .arg("light-one")
            .arg(file)
            .stderr(Stdio::null())
            .output()?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if !output.status.success() {
            println!("{name}: the process ended with {}", output.status);
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let row: Row = serde_json::from_str(line).with_context(|| format!("from {name}"))?;
            tallies[usize::from(row.program.is_some())].add(&name, &row);
        }
    }
    for (what, tally) in ["objects", "programs, each by itself"].iter().zip(&tallies) {
        tally.print(what);
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, file: &str, row: &Row) {
        let Row { libbpf, ours, .. } = row;
        let name = format!("{file} {}", row.program.as_deref().unwrap_or(""));
        self.rows += 1;
        for (index, side) in [libbpf, ours].into_iter().enumerate() {
            self.generated[index] += usize::from(side.is_generated());
            self.loaded[index] += usize::from(matches!(side, Side::Loaded(..)));
        }
        self.same_data += usize::from(row.same_data);
        self.same_insns += usize::from(row.same_insns);
        if libbpf.is_generated() != ours.is_generated() {
            println!(
                "GENERATED {name}: libbpf {}, purebpf {}",
                libbpf.reason(),
                ours.reason()
            );
            return;
        }
        match (libbpf, ours) {
            (Side::Loaded(tags, maps), Side::Loaded(our_tags, our_maps)) => {
                if tags == our_tags && maps == our_maps {
                    self.same += 1;
                    return;
                }
                self.differ += 1;
                println!("DIFFER {name}: tags {tags:02x?} {our_tags:02x?}");
                for (theirs, ours) in maps.iter().zip(our_maps).filter(|(a, b)| a != b) {
                    println!("DIFFER {name}: map {theirs}; purebpf {ours}");
                }
            }
            _ if libbpf.reason() == ours.reason() => {}
            (Side::NotGenerated(_), Side::NotGenerated(_)) => {}
            _ => println!(
                "LOADED {name}: libbpf {}, purebpf {}",
                libbpf.reason(),
                ours.reason()
            ),
        }
    }

    fn print(&self, what: &str) {
        let Self {
            rows,
            generated,
            loaded,
            ..
        } = self;
        println!("{rows} {what}");
        println!(
            "  generated, libbpf and purebpf   {}, {}",
            generated[0], generated[1]
        );
        println!(
            "  loaded, libbpf and purebpf      {}, {}",
            loaded[0], loaded[1]
        );
        println!(
            "  same tags and maps              {}, {} differ",
            self.same, self.differ
        );
        println!("  same bytes of data              {}", self.same_data);
        println!("  same instructions               {}", self.same_insns);
    }
}
