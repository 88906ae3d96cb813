//! A report as text: source line, caret, notes.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use purebpf::plan::SourceLine;

use super::Report;

/// Colours, or none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Colours {
    error: Style,
    warning: Style,
    edge: Style,
    title: Style,
}

impl Colours {
    /// Those of a terminal.
    pub(crate) const fn terminal() -> Self {
        Self {
            error: AnsiColor::BrightRed.on_default().bold(),
            warning: AnsiColor::BrightYellow.on_default().bold(),
            edge: AnsiColor::BrightBlue.on_default().bold(),
            title: Style::new().bold(),
        }
    }
}

impl Report {
    /// As a compiler shows an error; with the kernel's log if the user wants it, or if there is
    /// nothing else.
    pub(crate) fn text(&self, colours: Colours, with_log: bool) -> String {
        let digits = self
            .line
            .as_ref()
            .map_or(1, |line| line.line.to_string().len());
        let mut page = Page {
            text: String::new(),
            colours,
            margin: " ".repeat(digits),
        };
        let (level, style) = match self.is_warning {
            true => ("warning", colours.warning),
            false => ("error", colours.error),
        };
        page.title(level, style, &self.title);
        if let Some(line) = &self.line {
            page.source(line, style);
        }
        if let Some(insn) = self.insn {
            let program = self.program.iter();
            let program = program.map(|program| format!("`{program}`"));
            // It is the title that mostly says which program.
            let of = program.filter(|name| !self.title.contains(name));
            let of: String = of.map(|name| format!(" of {name}")).collect();
            let text = self.text.iter().map(|text| format!(": {text}"));
            let text: String = text.collect();
            page.fact(&format!("at instruction {insn}{of}{text}"));
        }
        if !self.registers.is_empty() {
            let registers = self.registers.iter();
            let registers =
                registers.map(|register| format!("{}={}", register.name, register.value));
            let registers = registers.collect::<Vec<_>>().join(" ");
            page.fact(&format!("register state: {registers}"));
        }
        for note in &self.notes {
            page.fact(&format!("note: {note}"));
        }
        if let Some(help) = &self.help {
            page.fact(&format!("help: {help}"));
        }
        if let Some(log) = self.log.as_ref().filter(|_| with_log || self.is_log_needed) {
            page.fact("the kernel's log:");
            page.text.push_str(&clean(log.trim_end()));
            page.text.push('\n');
        }
        page.text
    }
}

/// What is written so far, and how wide line numbers are.
struct Page {
    text: String,
    colours: Colours,
    margin: String,
}

impl Page {
    fn title(&mut self, level: &str, style: Style, title: &str) {
        let (bold, title) = (self.colours.title, clean(title));
        let _infallible = writeln!(self.text, "{style}{level}{style:#}{bold}: {title}{bold:#}");
    }

    fn source(&mut self, line: &SourceLine, style: Style) {
        let (edge, margin) = (self.colours.edge, &self.margin);
        let place = match line.column {
            0 => format!("{}:{}", line.file, line.line),
            column => format!("{}:{}:{column}", line.file, line.line),
        };
        let text = &mut self.text;
        let _infallible = writeln!(text, "{margin}{edge}-->{edge:#} {}", clean(&place));
        if line.text.is_empty() {
            return;
        }
        let _infallible = writeln!(text, "{margin} {edge}|{edge:#}");
        let number = line.line;
        let _infallible = writeln!(text, "{edge}{number} |{edge:#} {}", clean(&line.text));
        let caret = caret(line).map_or_else(String::new, |at| {
            format!(" {}{style}^{style:#}", " ".repeat(at))
        });
        let _infallible = writeln!(text, "{margin} {edge}|{edge:#}{caret}");
    }

    fn fact(&mut self, fact: &str) {
        let (edge, margin, fact) = (self.colours.edge, &self.margin, clean(fact));
        let _infallible = writeln!(self.text, "{margin} {edge}={edge:#} {fact}");
    }
}

/// How many characters of the line, as it is shown, are before its column.
fn caret(line: &SourceLine) -> Option<usize> {
    let bytes = line.column.checked_sub(1)?.checked_sub(line.indent)?;
    let before = line.text.get(..usize::try_from(bytes).ok()?)?;
    Some(clean(before).chars().count())
}

/// Text of a file or the kernel without what would move a terminal's cursor.
fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => clean.push(' '),
            '\n' => clean.push('\n'),
            c if c.is_control() => clean.extend(c.escape_default()),
            c => clean.push(c),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            title: "program `x`: no".to_owned(),
            line: Some(SourceLine {
                file: "./x.bpf.c".to_owned(),
                line: 126,
                column: 10,
                text: "return\t*é;".to_owned(),
                indent: 2,
            }),
            insn: Some(7),
            ..Report::default()
        }
    }

    #[test]
    fn the_caret_is_below_the_column() {
        assert_eq!(
            report().text(Colours::default(), false),
            "error: program `x`: no\n   --> ./x.bpf.c:126:10\n    |\n126 | return *é;\n    |        ^\n    \
             = at instruction 7\n"
        );
    }

    #[test]
    fn a_column_outside_the_text_has_no_caret() {
        let mut report = report();
        for column in [0, 1, 2, 100, 12] {
            report
                .line
                .as_mut()
                .into_iter()
                .for_each(|line| line.column = column);
            assert!(
                !report.text(Colours::default(), false).contains('^'),
                "{column}"
            );
        }
    }

    #[test]
    fn what_a_file_says_does_not_move_the_cursor() {
        let mut report = report();
        report.title.push_str("\u{1b}[2J");
        report.log = Some("a\u{7}\nb".to_owned());
        let text = report.text(Colours::default(), true);
        assert!(
            text.contains("\\u{1b}[2J") && text.ends_with("a\\u{7}\nb\n"),
            "{text}"
        );
        // Only colours do.
        assert!(
            report
                .text(Colours::terminal(), false)
                .contains("\u{1b}[1m")
        );
    }

    #[test]
    fn the_log_is_shown_only_if_it_is_wanted_or_needed() {
        let mut report = report();
        report.log = Some("7: (95) exit".to_owned());
        assert!(!report.text(Colours::default(), false).contains("exit"));
        report.is_log_needed = true;
        assert!(report.text(Colours::default(), false).contains("exit"));
    }
}
