//! A report as JSON.

use serde_json::{Value, json};

use super::Report;

impl Report {
    /// All fields; null or empty is what is not known.
    pub(crate) fn json(&self) -> Value {
        let line = self.line.as_ref().map(|line| {
            json!({
                "file": line.file,
                "line": line.line,
                "column": line.column,
                "text": line.text,
            })
        });
        let registers = self.registers.iter();
        let registers: serde_json::Map<_, _> = registers
            .map(|register| (register.name.clone(), json!(register.value)))
            .collect();
        json!({
            "level": if self.is_warning { "warning" } else { "error" },
            "title": self.title,
            "object": self.object,
            "program": self.program,
            "section": self.section,
            "phase": self.phase,
            "errno": self.errno,
            "source": line,
            "instruction": self.insn,
            "text": self.text,
            "registers": registers,
            "reason": self.reason,
            "relocation": self.relocation,
            "tried": self.tried,
            "notes": self.notes,
            "help": self.help,
            "log": self.log,
        })
    }
}
