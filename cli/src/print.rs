//! Output: lines that may be cut off by their reader, tables, errors with all that is behind them.

use std::io::{self, Write as _};

use comfy_table::Table;
use comfy_table::presets::NOTHING;

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

/// Prints an error: what failed, why, the verifier's words, and what to do where that is known.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("error: {}", chain(error.as_ref())));
    if let Some(error) = error.downcast_ref::<purebpf::Error>() {
        details(error);
    }
}

/// What a load error has to say beyond its first line.
pub(crate) fn details(error: &purebpf::Error) {
    if let Some(line) = error.source_line() {
        note(&format!(
            "  --> {}:{}:{}",
            line.file, line.line, line.column
        ));
        note(&format!("   |   {}", line.text));
    }
    if let Some(log) = error.verifier_log() {
        note("verifier log:");
        note(log.trim_end());
    }
    if let Some(hint) = error.hint() {
        note(&format!("hint: {hint}"));
    }
}
