//! Output: lines that may be cut off by their reader, tables, errors with all that is behind them.

use std::borrow::Borrow;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::report::{Colours, Report};

/// Prints one line to standard output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Whether output failed because nobody reads it any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A table without lines.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    table
}

/// Prints to standard error, which nobody may be reading.
pub(crate) fn note(text: &str) {
    let _unread = writeln!(io::stderr().lock(), "{text}");
}

/// An error and what caused it, each on a line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let message = error.to_string();
        // What it is about need not be said twice.
        let rest = match message.split_once(": ") {
            Some((object, rest)) if text.contains(object) => rest,
            _ => &message,
        };
        text.push_str(": ");
        text.push_str(rest);
        source = error.source();
    }
    text
}

/// Prints an error: as a compiler does if it is of a load, otherwise what failed and why.
pub(crate) fn error(error: &anyhow::Error, with_log: bool) {
    match error.downcast_ref::<purebpf::Error>() {
        Some(error) => report(&Report::from(error), with_log),
        None => note(&format!("error: {}", chain(error.as_ref()))),
    }
}

/// Prints reports, with a line between them.
pub(crate) fn reports<R: Borrow<Report>>(reports: &[R], with_log: bool) {
    for (index, one) in reports.iter().enumerate() {
        if index > 0 {
            note("");
        }
        report(one.borrow(), with_log);
    }
}

/// Prints a report to standard error, in colours if that is a terminal.
pub(crate) fn report(report: &Report, with_log: bool) {
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    let is_plain = !variable("NO_COLOR").is_empty() || variable("TERM") == "dumb";
    let colours = match io::stderr().is_terminal() && !is_plain {
        true => Colours::terminal(),
        false => Colours::default(),
    };
    note(report.text(colours, with_log).trim_end());
}
