//! Values as rows of a table that grows downwards, or as lines of JSON.

use purebpf::btf::value::Value;
use serde_json::Value as Json;

use crate::print;

/// Narrowest column; numbers of most fields fit.
const WIDTH: usize = 12;

pub(crate) struct Show {
    is_json: bool,
    /// The columns of the table, once a record has told them.
    columns: Vec<(String, usize)>,
}

impl Show {
    pub(crate) const fn json() -> Self {
        Self {
            is_json: true,
            columns: Vec::new(),
        }
    }

    pub(crate) const fn table() -> Self {
        Self {
            is_json: false,
            columns: Vec::new(),
        }
    }

    /// Shows one record.
    pub(crate) fn record(&mut self, value: &Value) -> anyhow::Result<()> {
        if self.is_json {
            return print::line(&value.to_json());
        }
        let cells = cells(value);
        if self
            .columns
            .iter()
            .map(|(name, _)| name)
            .ne(cells.iter().map(|(name, _)| name))
        {
            let column = |(name, text): &(String, String)| {
                (name.clone(), WIDTH.max(name.len()).max(text.len()))
            };
            self.columns = cells.iter().map(column).collect();
            let names = self
                .columns
                .iter()
                .map(|(name, width)| (name.to_uppercase(), *width));
            print::line(&row(names))?;
        }
        let widths = self.columns.iter().map(|(_, width)| *width);
        print::line(&row(cells.into_iter().map(|(_, text)| text).zip(widths)))
    }
}

/// Cells side by side; one that is too long pushes the others on.
fn row(cells: impl Iterator<Item = (String, usize)>) -> String {
    let row: Vec<String> = cells
        .map(|(text, width)| format!("{text:width$}"))
        .collect();
    row.join(" ").trim_end().to_owned()
}

/// The fields of a struct, or the value itself as the only cell.
fn cells(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Struct(fields) | Value::Union(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        value => vec![("value".to_owned(), text(value))],
    }
}

fn text(value: &Value) -> String {
    match serde_json::to_value(value) {
        Ok(Json::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => value.to_json(),
    }
}
