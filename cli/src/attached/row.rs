//! A program and the place it is attached to, as a row of a table or an object of JSON.

use std::collections::HashMap;

use purebpf::Program;
use purebpf::handles::{LinkId, ProgramId};
use serde_json::{Map, Value};

use crate::print;

/// A program at a place.
pub(crate) struct Row {
    /// What it is attached to, by name and value: the first columns.
    place: Vec<(&'static str, Value)>,
    program: ProgramId,
    link: Option<LinkId>,
    /// What else there is to say.
    details: Vec<(&'static str, Value)>,
}

impl Row {
    /// A row; all rows of a table have places of the same names.
    pub(crate) fn new(place: Vec<(&'static str, Value)>, program: ProgramId) -> Self {
        Self {
            place,
            program,
            link: None,
            details: Vec::new(),
        }
    }

    pub(crate) fn link(self, link: Option<LinkId>) -> Self {
        Self { link, ..self }
    }

    /// Says something more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    fn json(&self, name: Option<&str>) -> Value {
        let mut all = Map::new();
        let mut add = |name: &str, value| all.insert(name.to_owned(), value);
        for (name, value) in &self.place {
            add(name, value.clone());
        }
        add("program_id", self.program.0.into());
        add("program", name.into());
        if let Some(link) = self.link {
            add("link_id", link.0.into());
        }
        for (name, value) in &self.details {
            add(name, value.clone());
        }
        Value::Object(all)
    }

    fn cells(&self, name: Option<&str>) -> Vec<String> {
        let place = self.place.iter().map(|(_, value)| text(value));
        let program = format!("{} {}", self.program, name.unwrap_or_default());
        let link = self.link.map(|link| link.to_string());
        let details = self.details.iter().filter_map(|(name, value)| match value {
            Value::Bool(true) => Some((*name).to_owned()),
            Value::Bool(false) | Value::Null => None,
            value => Some(format!("{name} {}", text(value))),
        });
        let details = details.collect::<Vec<_>>().join(", ");
        let rest = [
            program.trim_end().to_owned(),
            link.unwrap_or_default(),
            details,
        ];
        place.chain(rest).collect()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints rows as a table, of which `place` are the first headings, or as a list of JSON.
pub(crate) fn show(rows: &[Row], place: &[&str], as_json: bool) -> anyhow::Result<()> {
    let mut names: HashMap<ProgramId, Option<String>> = HashMap::new();
    for row in rows {
        names
            .entry(row.program)
            .or_insert_with(|| name(row.program));
    }
    let name = |row: &Row| names.get(&row.program).and_then(Option::as_deref);
    if as_json {
        let all = rows.iter().map(|row| row.json(name(row)));
        return print::line(&Value::Array(all.collect()).to_string());
    }
    if rows.is_empty() {
        print::note("nothing is attached");
        return Ok(());
    }
    let mut table = print::table(&[place, &["program", "link", "details"]].concat());
    for row in rows {
        table.add_row(row.cells(name(row)));
    }
    print::line(&table.to_string())
}

/// The name of a program, if it is still there and has one.
fn name(id: ProgramId) -> Option<String> {
    let program = Program::from_id(id).ok()?;
    let name = program.name();
    (!name.is_empty()).then(|| name.to_owned())
}
