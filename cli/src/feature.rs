//! `purebpf feature`: what the running kernel supports.

use std::process::ExitCode;

use purebpf::insn::helpers;
use purebpf::plan::{Feature, TargetKernel as _};
use purebpf::{MapType, ProgramType, RunningKernel};
use serde_json::{Map, Value, json};

use crate::print;

/// What is asked for.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also the helpers that each type of program may call, which takes a second or two
    #[arg(long)]
    helpers: bool,
    /// As JSON; what cannot be found out is null
    #[arg(long)]
    json: bool,
}

/// What is known: a name, and the answer if there is one.
type Row = (&'static str, Option<bool>);

/// The helpers that a type of program may call.
fn callable(kernel: &RunningKernel, ty: ProgramType) -> Vec<&'static str> {
    let ids = (1..).map_while(|id| Some((id, helpers::name(id)?)));
    let known = ids.filter(|(id, _)| kernel.has_helper(ty, *id) == Some(true));
    known.map(|(_, name)| name).collect()
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let kernel = RunningKernel::get();
    let features: Vec<Row> = Feature::ALL
        .iter()
        .map(|feature| (feature.name(), Some(kernel.has(*feature))))
        .collect();
    let programs: Vec<Row> = ProgramType::known()
        .filter(|ty| *ty != ProgramType::UNSPEC)
        .filter_map(|ty| Some((ty.name()?, kernel.has_program_type(ty))))
        .collect();
    let maps: Vec<Row> = MapType::known()
        .filter(|ty| *ty != MapType::UNSPEC)
        .filter_map(|ty| Some((ty.name()?, kernel.has_map_type(ty))))
        .collect();
    let types = ProgramType::known().filter(|_| arguments.helpers);
    let callable = types.filter_map(|ty| Some((ty.name()?, callable(&kernel, ty))));
    let callable: Vec<_> = callable.filter(|(_, names)| !names.is_empty()).collect();
    if arguments.json {
        let object = |rows: &[Row]| -> Value {
            let fields = rows
                .iter()
                .map(|(name, is)| ((*name).to_owned(), json!(is)));
            Value::Object(fields.collect())
        };
        let mut all = Map::new();
        all.insert("features".to_owned(), object(&features));
        all.insert("program_types".to_owned(), object(&programs));
        all.insert("map_types".to_owned(), object(&maps));
        if arguments.helpers {
            let fields = callable
                .iter()
                .map(|(name, names)| ((*name).to_owned(), json!(names)));
            all.insert("helpers".to_owned(), Value::Object(fields.collect()));
        }
        print::line(&Value::Object(all).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    for (title, rows) in [
        ("feature", &features),
        ("program type", &programs),
        ("map type", &maps),
    ] {
        let mut table = print::table(&[title, "supported"]);
        for (name, is) in rows {
            let is = is.map_or("unknown", |is| if is { "yes" } else { "no" });
            table.add_row([name, is]);
        }
        print::line(&format!("{table}\n"))?;
    }
    for (name, names) in callable {
        print::line(&format!("helpers of {name}: {}", names.join(" ")))?;
    }
    Ok(ExitCode::SUCCESS)
}
