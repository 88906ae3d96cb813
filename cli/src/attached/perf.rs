//! `purebpf perf`: what processes hold attached by perf events and raw tracepoints.

use std::process::ExitCode;

use purebpf::handles::link::{TaskFd, TaskFdPlace};
use serde_json::{Value, json};

use super::{Row, show};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// As JSON: a list of objects
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let rows: Vec<Row> = TaskFd::all()?.into_iter().map(row).collect();
    show(&rows, &["pid", "process", "fd", "kind"], arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn row(found: TaskFd) -> Row {
    let process = std::fs::read_to_string(format!("/proc/{}/comm", found.pid));
    let process = process.ok().map(|name| name.trim_end().to_owned());
    let (kind, details) = place(&found.place);
    let place = vec![
        ("pid", json!(found.pid)),
        ("process", json!(process)),
        ("fd", json!(found.fd)),
        ("kind", json!(kind)),
    ];
    let row = Row::new(place, found.program);
    let details = details.into_iter();
    details.fold(row, |row, (name, value)| row.with(name, value))
}

/// The kind of a place, and where that is.
fn place(place: &TaskFdPlace) -> (String, Vec<(&'static str, Value)>) {
    let (kind, details) = match place {
        TaskFdPlace::RawTracepoint(name) => ("raw_tracepoint", vec![("name", json!(name))]),
        TaskFdPlace::Tracepoint(name) => ("tracepoint", vec![("name", json!(name))]),
        TaskFdPlace::Kprobe {
            function,
            offset,
            address,
            retprobe,
        } => (
            if *retprobe { "kretprobe" } else { "kprobe" },
            vec![
                (
                    "function",
                    json!((!function.is_empty()).then_some(function)),
                ),
                ("offset", json!(offset)),
                (
                    "address",
                    json!((*address != 0).then(|| format!("{address:#x}"))),
                ),
            ],
        ),
        TaskFdPlace::Uprobe {
            path,
            offset,
            retprobe,
        } => (
            if *retprobe { "uretprobe" } else { "uprobe" },
            vec![
                ("path", json!(path.to_string_lossy())),
                ("offset", json!(offset)),
            ],
        ),
        TaskFdPlace::Other(number) => return (format!("type {number}"), Vec::new()),
        other => return (format!("{other:?}"), Vec::new()),
    };
    (kind.to_owned(), details)
}
