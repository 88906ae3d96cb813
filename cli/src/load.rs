//! `purebpf load`: loads for real, and says for each program what the kernel said.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use purebpf::{Error, Loader, Object, ObjectSpec};
use serde_json::{Value, json};

use crate::print;
use crate::report::Report;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The object file
    file: PathBuf,
    /// Load every program by itself, the others not
    #[arg(long)]
    each: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the whole log of the kernel where it refuses a program
    #[arg(long)]
    log: bool,
    /// Pin maps and programs in this folder of a bpffs
    #[arg(long, conflicts_with = "each")]
    pin: Option<PathBuf>,
    /// Refuse pins that another user could have put there, or could still change
    #[arg(long)]
    trusted_pins: bool,
}

/// What became of a program.
struct Outcome {
    name: String,
    section: String,
    result: Result<Option<[u8; 8]>, Failure>,
}

/// Why a program was not loaded: an error, which may be that of the whole object.
struct Failure {
    errno: Option<i32>,
    phase: &'static str,
    text: String,
    /// Nothing if the failure is told elsewhere.
    report: Option<Box<Report>>,
}

impl Failure {
    fn new(error: &Error) -> Self {
        let mut text = print::chain(error);
        if let Some(hint) = error.hint() {
            text.push_str("; ");
            text.push_str(hint);
        }
        if let Some(log) = error.verifier_log() {
            text.push('\n');
            text.push_str(log.trim_end());
        }
        Self {
            errno: error.errno(),
            phase: error.phase().name(),
            text,
            report: Some(Box::new(Report::from(error))),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spec = match ObjectSpec::open(&arguments.file) {
        Ok(spec) => spec,
        Err(error) if arguments.json => {
            let object = arguments
                .file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy();
            let text = print::chain(&error);
            let failure = json!({
                "object": object, "programs": [], "phase": "open", "error": text,
            });
            print::line(&failure.to_string())?;
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("opening {}", arguments.file.display()));
        }
    };
    let outcomes = match arguments.each {
        true => each(&spec, arguments),
        false => whole(&spec, arguments)?,
    };
    match arguments.json {
        true => print::line(&to_json(&spec.name, &outcomes).to_string())?,
        false => show(&outcomes, arguments.log)?,
    }
    let is_loaded = outcomes.iter().all(|outcome| outcome.result.is_ok());
    Ok(if is_loaded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tag(object: &Object, program: &str) -> Result<Option<[u8; 8]>, Error> {
    let info = object.program(program)?.info()?;
    Ok(Some(info.tag))
}

fn each(spec: &ObjectSpec, arguments: &Arguments) -> Vec<Outcome> {
    // What is learnt of the kernel serves all loads.
    let loader = Loader::new().trusted_pins(arguments.trusted_pins);
    let outcome = |name: &str, section: &str| {
        let mut alone = spec.clone();
        let result = alone
            .load_only([name])
            .map_err(Error::from)
            .and_then(|()| loader.load(&alone))
            .and_then(|object| tag(&object, name));
        Outcome {
            name: name.to_owned(),
            section: section.to_owned(),
            result: result.map_err(|error| Failure::new(&error)),
        }
    };
    spec.programs()
        .map(|program| outcome(&program.name, &program.section))
        .collect()
}

fn whole(spec: &ObjectSpec, arguments: &Arguments) -> anyhow::Result<Vec<Outcome>> {
    let loaded = Loader::new()
        .trusted_pins(arguments.trusted_pins)
        .load(spec);
    let loaded = match (loaded, &arguments.pin) {
        (Ok(object), Some(dir)) => {
            pin(&object, dir)?;
            Ok(object)
        }
        (loaded, _) => loaded,
    };
    // What failed may be a function that several programs call.
    let culprit = loaded.as_ref().err().and_then(Error::program);
    let culprit = culprit.filter(|name| spec.program(name).is_ok());
    let outcome = |program: &purebpf::ProgramSpec| {
        let result = match &loaded {
            Ok(object) if program.autoload => {
                tag(object, &program.name).map_err(|error| Failure::new(&error))
            }
            Ok(_) => Ok(None),
            Err(error) if culprit.is_none_or(|name| name == program.name) => {
                Err(Failure::new(error))
            }
            Err(error) => Err(Failure {
                errno: None,
                phase: error.phase().name(),
                text: format!("not loaded, since `{}` was not", culprit.unwrap_or("")),
                report: None,
            }),
        };
        Outcome {
            name: program.name.clone(),
            section: program.section.clone(),
            result,
        }
    };
    Ok(spec.programs().map(outcome).collect())
}

fn pin(object: &Object, dir: &Path) -> anyhow::Result<()> {
    object
        .pin(dir)
        .with_context(|| format!("pinning in {}", dir.display()))
}

fn hex(tag: [u8; 8]) -> String {
    tag.map(|byte| format!("{byte:02x}")).concat()
}

fn to_json(object: &str, outcomes: &[Outcome]) -> Value {
    let programs = outcomes.iter().map(|outcome| {
        let failure = outcome.result.as_ref().err();
        let tag = outcome.result.as_ref().ok().copied().flatten();
        json!({
            "name": outcome.name,
            "section": outcome.section,
            "loaded": tag.is_some(),
            "tag": tag.map(hex),
            "errno": failure.and_then(|failure| failure.errno),
            "phase": failure.map(|failure| failure.phase),
            "error": failure.map(|failure| failure.text.as_str()),
            "diagnosis": failure.and_then(|f| f.report.as_ref()).map(|report| report.json()),
        })
    });
    json!({"object": object, "programs": programs.collect::<Vec<_>>()})
}

fn show(outcomes: &[Outcome], with_log: bool) -> anyhow::Result<()> {
    let mut table = print::table(&["program", "section", "loaded", "tag"]);
    for outcome in outcomes {
        let (loaded, tag) = match &outcome.result {
            Ok(Some(tag)) => ("yes", hex(*tag)),
            Ok(None) => ("off by default", String::new()),
            Err(_) => ("no", String::new()),
        };
        table.add_row([outcome.name.as_str(), &outcome.section, loaded, &tag]);
    }
    print::line(&table.to_string())?;
    let failures = outcomes
        .iter()
        .filter_map(|outcome| outcome.result.as_ref().err());
    let mut reports: Vec<&Report> = failures.filter_map(|f| f.report.as_deref()).collect();
    // A failure of the whole object is the same for each program.
    reports.dedup_by_key(|report| &report.title);
    print::reports(&reports, with_log);
    Ok(())
}
