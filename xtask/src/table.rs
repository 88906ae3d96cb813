//! `docs/kernels.md`: what each kernel has, what the tests miss on it, and what becomes of every
//! fixture there; from one run of tests and program in all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use anyhow::Context as _;
use serde_json::Value;

use crate::arch::{self, Arch};
use crate::machine::{self, Job, say};
use crate::{run, vm};

const FILE: &str = "docs/kernels.md";

const HEAD: &str = "\
# What works on which kernel

Written by `cargo xtask kernels-table`, which runs every privileged test on each of these kernels; a test of what a kernel lacks says so.
Kernels are Debian's, in QEMU (x86_64 unless said otherwise; s390x is big-endian), but for the host's.
";

/// Asks the program in a machine; lines of answers begin with `@@`.
const QUESTIONS: &str = r#"
printf '@@FEATURES %s\n' "$(purebpf feature --json)"
for object in tests/bpf/*.bpf.o; do
	purebpf load --json $object >/dev/null
	echo "@@WHOLE $? ${object##*/}"
	printf '@@EACH %s\n' "$(purebpf load --each --json $object)"
done
"#;

/// Virtual machines of the table, besides the host.
const MACHINES: [(&str, &str); 3] = [
    ("x86_64", "all"),
    ("aarch64", "newest"),
    ("s390x", "newest"),
];

/// What became of a fixture.
struct Fixture {
    is_whole: bool,
    loaded: usize,
    programs: usize,
    reason: Option<String>,
}

/// What one kernel said.
#[derive(Default)]
struct Column {
    name: String,
    /// By group and name: `yes`, `no` or `unknown`.
    features: BTreeMap<(String, String), &'static str>,
    missing: BTreeSet<String>,
    /// Ways of attaching: `link`, `yes` or `no`.
    ways: BTreeMap<String, String>,
    fixtures: BTreeMap<String, Fixture>,
    /// The fixture that the next answer is about, and whether it was loaded whole.
    current: Option<(String, bool)>,
    failed: bool,
    /// All that was said.
    log: String,
}

/// Runs everything, or what has one of these names, and writes the table; what failed is an error, once
/// all have run. What they say is kept in `target/kernels`, and read there of those that do not run.
pub(crate) fn write(only: &[String]) -> anyhow::Result<()> {
    let mut columns = Vec::new();
    let mut add = |name: String, run: &dyn Fn(&mut Column) -> anyhow::Result<()>| {
        let log = run::cache("kernels")?.join(format!("{}.log", name.replace(' ', "-")));
        let mut column = Column::new(name);
        if only.is_empty() || only.contains(&column.name) {
            say(&format!("== {} ==", column.name));
            run(&mut column)?;
            fs::write(&log, &column.log)?;
        } else if let Ok(kept) = fs::read_to_string(&log) {
            kept.lines().for_each(|line| column.line(line));
        } else {
            return Ok(());
        }
        columns.push(column);
        let text = text(&columns);
        fs::write(run::root().join(FILE), text).with_context(|| format!("writing {FILE}"))
    };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let version = release.split('.').take(2).collect::<Vec<_>>().join(".");
    add(format!("host {version}"), &host)?;
    for (arch, versions) in MACHINES {
        let arch = arch::named(arch)?;
        for version in arch.versions(versions) {
            let name = match arch.cross {
                None => version.to_owned(),
                Some(_) => format!("{} {version}", arch.name),
            };
            add(name, &|column| machine(arch, version, column))?;
        }
    }
    let failed = failed(&columns);
    anyhow::ensure!(failed.is_empty(), "tests failed on {failed}");
    Ok(())
}

/// The names of those on which a test failed, or did not tell of every way of attaching that others
/// tell of.
fn failed(columns: &[Column]) -> String {
    let ways = ways(columns);
    let is_silent = |column: &Column| !ways.iter().all(|way| column.ways.contains_key(*way));
    let failed = columns
        .iter()
        .filter(|column| column.failed || is_silent(column));
    let names = failed.map(|column| column.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn ways(columns: &[Column]) -> BTreeSet<&String> {
    columns
        .iter()
        .flat_map(|column| column.ways.keys())
        .collect()
}

fn machine(arch: &'static Arch, version: &str, column: &mut Column) -> anyhow::Result<()> {
    let job = job(arch)?;
    for kernel in machine::fetch(arch, &[version.to_owned()])? {
        let status = machine::run_in(&kernel, &job, |line| column.line(line))?;
        column.line(&format!("@@STATUS {}", status.as_deref().unwrap_or("ok")));
    }
    Ok(())
}

fn job(arch: &'static Arch) -> anyhow::Result<Job> {
    let job = vm::job(arch, &[])?;
    let script = format!("{QUESTIONS}{}", job.script);
    Ok(Job { script, ..job })
}

/// The same without a machine: the static programs run here as well.
fn host(column: &mut Column) -> anyhow::Result<()> {
    let folder = run::cache("vm/host")?;
    fs::remove_dir_all(&folder)?;
    let job = job(arch::HOST)?;
    for (place, program) in &job.programs {
        let place = folder.join(place);
        fs::create_dir_all(&place)?;
        let name = program.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(program, place.join(name))?;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let script = format!("failed=0\n{}\necho \"@@EXIT $failed@@\"\n", job.script);
    let said = run::output(
        run::command("sh")
            .args(["-c", &script])
            .env("TESTS", folder.join("tests"))
            .env("PATH", format!("{}:{path}", folder.join("bin").display()))
            .env("PUREBPF_REQUIRE_KERNEL", "1")
            .env("RUST_BACKTRACE", "0"),
    )?;
    said.lines().for_each(|line| column.line(line));
    let is_ok = said.ends_with("@@EXIT 0@@\n");
    column.line(&format!(
        "@@STATUS {}",
        if is_ok { "ok" } else { "some failed" }
    ));
    Ok(())
}

impl Column {
    fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Takes in what a kernel's answers say, and shows what went wrong.
    fn line(&mut self, line: &str) {
        self.log.push_str(line);
        self.log.push('\n');
        if let Some(json) = line.strip_prefix("@@FEATURES ") {
            self.features(&parsed(json));
        } else if let Some((code, name)) = line
            .strip_prefix("@@WHOLE ")
            .and_then(|rest| rest.split_once(' '))
        {
            self.current = Some((name.to_owned(), code == "0"));
        } else if let Some(json) = line.strip_prefix("@@EACH ") {
            let Some((name, is_whole)) = self.current.take() else {
                return;
            };
            self.fixtures
                .insert(name, Fixture::new(is_whole, &parsed(json)));
        } else if let Some(status) = line.strip_prefix("@@STATUS ") {
            self.failed = status != "ok";
        } else if let Some((way, answer)) = line
            .split_once("way of attaching ")
            .and_then(|(_, rest)| rest.split_once(": "))
        {
            self.ways.insert(way.to_owned(), answer.trim().to_owned());
        } else if let Some((_, what)) = line.split_once("not on this kernel: ") {
            self.missing.insert(what.trim().to_owned());
        } else if line.contains("FAILED") || line.contains("panicked") {
            say(&format!("[{}] {line}", self.name));
        }
    }

    fn features(&mut self, answers: &Value) {
        for group in ["features", "program_types", "map_types"] {
            let Some(rows) = answers.get(group).and_then(Value::as_object) else {
                continue;
            };
            for (name, is) in rows {
                let is = match is.as_bool() {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "unknown",
                };
                self.features
                    .insert((group.to_owned(), name.to_owned()), is);
            }
        }
    }
}

/// Nothing where the console has broken a line.
fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

impl Fixture {
    fn new(is_whole: bool, answer: &Value) -> Self {
        let programs = answer.get("programs").and_then(Value::as_array);
        let programs = programs.map_or(&[][..], Vec::as_slice);
        let is_loaded =
            |program: &&Value| program.get("loaded").and_then(Value::as_bool) == Some(true);
        let failed = programs.iter().find(|program| !is_loaded(program));
        let title = failed.and_then(|program| program.pointer("/diagnosis/title"));
        let error = title.or_else(|| answer.get("error"));
        Self {
            is_whole,
            loaded: programs.iter().filter(is_loaded).count(),
            programs: programs.len(),
            reason: error.and_then(Value::as_str).map(ToOwned::to_owned),
        }
    }
}

fn text(columns: &[Column]) -> String {
    let mut text = HEAD.to_owned();
    let failed = failed(columns);
    text.push_str(&match failed.is_empty() {
        true => "All tests passed.\n".to_owned(),
        false => format!("**Tests failed on {failed}.**\n"),
    });
    for (group, title) in [
        ("features", "Features"),
        ("program_types", "Types of programs"),
        ("map_types", "Types of maps"),
    ] {
        let rows = columns.iter().flat_map(|column| column.features.keys());
        let rows = rows.filter(|(of, _)| of == group).map(|(_, name)| name);
        let rows: BTreeSet<&String> = rows.collect();
        let cell = |name: &String, column: &Column| {
            let key = (group.to_owned(), name.clone());
            column.features.get(&key).copied().unwrap_or("").to_owned()
        };
        table(&mut text, title, "name", columns, &rows, cell);
    }
    let cell = |way: &String, column: &Column| column.ways.get(way).cloned().unwrap_or_default();
    table(
        &mut text,
        "Ways of attaching",
        "way",
        columns,
        &ways(columns),
        cell,
    );
    text.push_str(
        "\nA program was attached and ran, by a link of the kernel's (`link`) or without one (`yes`), or the kernel lacks the way (`no`).\n",
    );
    let missing: BTreeSet<&String> = columns.iter().flat_map(|c| &c.missing).collect();
    let cell = |what: &String, column: &Column| match column.missing.contains(what) {
        true => "missing".to_owned(),
        false => String::new(),
    };
    table(
        &mut text,
        "What tests miss",
        "what",
        columns,
        &missing,
        cell,
    );

    let fixtures: BTreeSet<&String> = columns.iter().flat_map(|c| c.fixtures.keys()).collect();
    let mut reasons: Vec<&str> = Vec::new();
    for name in &fixtures {
        for column in columns {
            let fixture = column.fixtures.get(*name);
            let reason = fixture.and_then(|fixture| fixture.reason.as_deref());
            if let Some(reason) = reason.filter(|reason| !reasons.contains(reason)) {
                reasons.push(reason);
            }
        }
    }
    let cell = |name: &String, column: &Column| {
        let Some(fixture) = column.fixtures.get(name) else {
            return String::new();
        };
        let (loaded, all) = (fixture.loaded, fixture.programs);
        let mut cell = match fixture.is_whole {
            true => "whole".to_owned(),
            false => format!("{loaded} of {all}"),
        };
        let reason = fixture.reason.as_deref();
        let number = reasons.iter().position(|known| Some(*known) == reason);
        if let Some(number) = number {
            let _infallible = write!(cell, " ({})", number.saturating_add(1));
        }
        cell
    };
    table(&mut text, "Fixtures", "object", columns, &fixtures, cell);
    text.push_str(
        "\nWhole, or how many of its programs can be loaded, each by itself; a number is the first reason why one cannot:\n\n",
    );
    for (number, reason) in (1..).zip(&reasons) {
        let _infallible = writeln!(text, "{number}. {}", reason.replace('\n', " "));
    }
    text
}

fn table(
    text: &mut String,
    title: &str,
    head: &str,
    columns: &[Column],
    rows: &BTreeSet<&String>,
    cell: impl Fn(&String, &Column) -> String,
) {
    let names = columns.iter().map(|column| column.name.as_str());
    let head: Vec<_> = [head].into_iter().chain(names).collect();
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<_> = head.iter().map(|&cell| cell.to_owned()).collect();
    let _infallible = write!(text, "\n## {title}\n\n{}", line(&heads));
    text.push_str(&line(&vec!["---".to_owned(); heads.len()]));
    for row in rows {
        let cells = columns.iter().map(|column| cell(row, column));
        let name = row.trim_end_matches(".bpf.o").to_owned();
        let cells: Vec<_> = [name].into_iter().chain(cells).collect();
        text.push_str(&line(&cells));
    }
}
