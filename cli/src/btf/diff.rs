//! `purebpf btf diff`.

use std::fmt::Display;

use purebpf::btf::diff::{Diff, Subject, diff};
use serde_json::{Value, json};

use crate::{print, source};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The source of the first BTF
    a: String,
    /// The source of the second
    b: String,
    /// The BTF that both continue, for modules in files
    #[arg(long)]
    base: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints what differs; the result is whether nothing does.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let base = match &arguments.base {
        Some(base) => Some(source::btf(base, None)?),
        None => None,
    };
    let a = source::on(&arguments.a, base.clone())?.btf;
    let b = source::on(&arguments.b, base)?.btf;
    let diff = diff(&a, &b)?;
    if arguments.json {
        print::line(&to_json(&diff).to_string())?;
    } else {
        for subject in &diff.only_a {
            print::line(&format!("- {}", name(subject)))?;
        }
        for subject in &diff.only_b {
            print::line(&format!("+ {}", name(subject)))?;
        }
        for changed in &diff.changed {
            print::line(&format!("! {}", name(&changed.a)))?;
            for change in &changed.changes {
                print::line(&format!("    {change}"))?;
            }
        }
        summary(&diff)?;
    }
    Ok(diff.is_empty())
}

fn name(subject: &Subject) -> String {
    format!("{} {}", subject.category, subject.name)
}

fn summary(diff: &Diff) -> anyhow::Result<()> {
    let mut table = print::table(&["", "SAME", "CHANGED", "ONLY IN A", "ONLY IN B"]);
    for (category, count) in &diff.counts {
        let cells: [&dyn Display; 5] = [
            category,
            &count.same,
            &count.changed,
            &count.only_a,
            &count.only_b,
        ];
        table.add_row(cells.map(ToString::to_string));
    }
    print::line(&table.to_string())
}

fn to_json(diff: &Diff) -> Value {
    let subject = |subject: &Subject| {
        json!({
            "kind": subject.category.to_string(),
            "name": subject.name,
            "id": subject.id.0,
        })
    };
    let all = |subjects: &[Subject]| subjects.iter().map(subject).collect::<Value>();
    let changed = diff.changed.iter().map(|changed| {
        let changes = changed.changes.iter().map(ToString::to_string);
        json!({
            "kind": changed.a.category.to_string(),
            "name": changed.a.name,
            "ids": [changed.a.id.0, changed.b.id.0],
            "changes": changes.collect::<Value>(),
        })
    });
    json!({
        "only_a": all(&diff.only_a),
        "only_b": all(&diff.only_b),
        "changed": changed.collect::<Value>(),
    })
}
