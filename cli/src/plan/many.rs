//! Which of many objects can be planned for which of many kernels.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use purebpf::ObjectSpec;
use purebpf::plan::Error;
use serde_json::{Value, json};

use super::{load_all, reports};
use crate::print;
use crate::report::Report;
use crate::target::Target;

/// What became of an object on a kernel.
struct Cell {
    /// Programs that cannot be planned, and programs there are.
    failed: (usize, usize),
    reports: Vec<Report>,
}

impl Cell {
    fn of(spec: &ObjectSpec, target: &Target) -> Self {
        let all = spec.programs().count();
        let plan = match spec.plan(target.kernel()) {
            Ok(plan) => plan,
            Err(error) => return Self::failed(&error, all),
        };
        let failed = plan.programs.iter().filter(|p| p.check().is_err()).count();
        Self {
            failed: (failed, all),
            reports: plan.programs.iter().flat_map(reports).collect(),
        }
    }

    /// Nothing of the object can be planned.
    fn failed(error: &Error, programs: usize) -> Self {
        Self {
            failed: (programs, programs),
            reports: vec![Report::from(error)],
        }
    }

    fn is_ok(&self) -> bool {
        self.reports.iter().all(|report| report.is_warning)
    }

    fn text(&self) -> String {
        match (self.is_ok(), self.failed, self.reports.len()) {
            (true, _, 0) => "ok".to_owned(),
            (true, _, missing) => format!("ok, {missing} missing"),
            (false, (failed, all), _) if failed == all => "fails".to_owned(),
            (false, (failed, all), _) => format!("{failed} of {all} fail"),
        }
    }
}

/// An object, and what became of it on each kernel; or why it cannot be read.
struct Row<'a> {
    file: &'a Path,
    cells: Vec<Cell>,
}

impl<'a> Row<'a> {
    fn of(file: &'a Path, targets: &[Target]) -> Self {
        let cells = match ObjectSpec::open(file) {
            Ok(mut spec) => {
                load_all(&mut spec);
                targets
                    .iter()
                    .map(|target| Cell::of(&spec, target))
                    .collect()
            }
            Err(error) => targets.iter().map(|_| Cell::failed(&error, 0)).collect(),
        };
        Self { file, cells }
    }
}

pub(super) fn run(files: &[PathBuf], targets: &[Target], json: bool) -> anyhow::Result<ExitCode> {
    let rows: Vec<Row<'_>> = files.iter().map(|file| Row::of(file, targets)).collect();
    match json {
        true => print::line(&to_json(&rows, targets).to_string())?,
        false => show(&rows, targets)?,
    }
    let mut cells = rows.iter().flat_map(|row| &row.cells);
    Ok(match cells.all(Cell::is_ok) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn show(rows: &[Row<'_>], targets: &[Target]) -> anyhow::Result<()> {
    let header = targets.iter().map(|target| target.name.as_str());
    let mut table = print::table(&std::iter::once("object").chain(header).collect::<Vec<_>>());
    for row in rows {
        let cells = row.cells.iter().map(Cell::text);
        table.add_row(std::iter::once(row.file.display().to_string()).chain(cells));
    }
    print::line(&table.to_string())?;
    let reports = rows.iter().flat_map(|row| merged(row, targets));
    print::reports(&reports.collect::<Vec<_>>(), false);
    Ok(())
}

/// The reports of an object; one that is the same on several kernels names them all.
fn merged(row: &Row<'_>, targets: &[Target]) -> Vec<Report> {
    let mut merged: indexmap::IndexMap<String, (Report, Vec<&str>)> = indexmap::IndexMap::new();
    for (cell, target) in row.cells.iter().zip(targets) {
        for report in &cell.reports {
            let key = report.json().to_string();
            let entry = merged
                .entry(key)
                .or_insert_with(|| (report.clone(), Vec::new()));
            entry.1.push(&target.name);
        }
    }
    let all = merged.into_values().map(|(mut report, kernels)| {
        report.title = format!("{}: {}", row.file.display(), report.title);
        report.notes.push(format!("on {}", kernels.join(", ")));
        report
    });
    all.collect()
}

fn to_json(rows: &[Row<'_>], targets: &[Target]) -> Value {
    let cell = |(cell, target): (&Cell, &Target)| {
        json!({
            "kernel": target.name,
            "ok": cell.is_ok(),
            "programs": cell.failed.1,
            "failed": cell.failed.0,
            "diagnosis": cell.reports.iter().map(Report::json).collect::<Vec<_>>(),
        })
    };
    let objects = rows.iter().map(|row| {
        json!({
            "object": row.file.display().to_string(),
            "kernels": row.cells.iter().zip(targets).map(cell).collect::<Vec<_>>(),
        })
    });
    json!({
        "kernels": targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>(),
        "objects": objects.collect::<Vec<_>>(),
    })
}
