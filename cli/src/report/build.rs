//! From an error to a report.

use purebpf::insn::verifier::VerifierLog;
use purebpf::loader::{Error, Rejection};
use purebpf::plan::{self, Code, Missing, Poison, ProgramPlan, TriedType};

use super::Report;
use crate::print;

impl From<&Error> for Report {
    fn from(error: &Error) -> Self {
        let mut report = match error {
            Error::Program { rejection, source } => {
                let mut report = rejected(rejection);
                report.title = error.to_string();
                report.notes.push(source.to_string());
                report
            }
            Error::Plan(error) => Self::from(error),
            _ => Self {
                title: print::chain(error),
                program: error.program().map(str::to_owned),
                ..Self::default()
            },
        };
        report.phase = error.phase().name();
        report.errno = error.errno();
        report.help = error.hint().map(str::to_owned);
        report.log = error.verifier_log().map(str::to_owned);
        // A log of anything else than a program has but a reason.
        if let (Some(log), None) = (&report.log, &report.reason) {
            report.reason = VerifierLog::parse(log).reason;
            report.notes.extend(report.reason.clone());
            report.is_log_needed = report.reason.is_none();
        }
        report
    }
}

impl From<&plan::Error> for Report {
    fn from(error: &plan::Error) -> Self {
        let relocation = match error {
            plan::Error::Core { spec, .. } => Some(spec.clone()),
            _ => None,
        };
        let section = match error {
            plan::Error::Relocation { section, .. } => Some(section.clone()),
            plan::Error::Extern { used, .. } => used.as_ref().map(|place| place.section.clone()),
            _ => None,
        };
        Self {
            title: print::chain(error),
            program: error.program().map(str::to_owned),
            section,
            phase: "plan",
            line: error.source_line().cloned(),
            insn: error.insn(),
            relocation,
            ..Self::default()
        }
    }
}

impl Report {
    /// An instruction that must not be reached, for want of what it needs.
    pub(crate) fn poison(program: &ProgramPlan, code: &Code, poison: &Poison) -> Self {
        let mut report = Self {
            is_warning: true,
            title: format!("program `{}`: {}", program.name, poison.missing),
            program: Some(program.name.clone()),
            section: Some(program.section.clone()),
            phase: "plan",
            line: code.source_line(poison.insn),
            insn: Some(poison.insn),
            ..Self::default()
        };
        report.lacks(&poison.missing);
        report
            .notes
            .push("the verifier refuses the program if it comes here".to_owned());
        report
    }

    /// What the kernel lacks, and what it has instead.
    fn lacks(&mut self, missing: &Missing) {
        let Missing::Core { spec, tried } = missing else {
            return;
        };
        self.relocation = Some(spec.clone());
        self.tried = tried.iter().map(told).collect();
        match self.tried.is_empty() {
            true => self
                .notes
                .push("the kernel has no type of this name".to_owned()),
            false => {
                let tried = self.tried.iter().map(|tried| format!("tried {tried}"));
                self.notes.extend(tried);
            }
        }
    }
}

fn told(tried: &TriedType) -> String {
    let TriedType { ty, why, .. } = tried;
    match &tried.module {
        Some(module) => format!("{ty} of module {module}: {why}"),
        None => format!("{ty}: {why}"),
    }
}

fn rejected(rejection: &Rejection) -> Report {
    let verifier = &rejection.verifier;
    let mut report = Report {
        object: Some(rejection.object.clone()),
        program: Some(rejection.program.clone()),
        section: Some(rejection.section.clone()),
        line: rejection.line.clone(),
        insn: rejection.insn,
        text: rejection.text.clone(),
        registers: verifier.used().cloned().collect(),
        reason: verifier.reason.clone(),
        notes: verifier.notes.clone(),
        ..Report::default()
    };
    if let Some(missing) = &rejection.missing {
        // The instruction is none of the program's own.
        report.registers.clear();
        report.text = None;
        report.lacks(missing);
    }
    if let Some(function) = &verifier.function {
        let note = format!("function `{function}` is checked by itself, for any arguments");
        report.notes.push(note);
    }
    if let Some(call) = verifier.calls.last() {
        let note = format!("called at instruction {call}");
        report.notes.push(note);
    }
    report
}
