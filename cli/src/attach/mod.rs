//! `purebpf attach` and `detach`: programs attached until they are told otherwise.
//!
//! ```text
//! place.rs  places as they are written    by_place.rs  programs attached there
//! ```

mod by_place;
mod place;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use purebpf::handles::pin::check_trusted;
use purebpf::{Error, Link, Loader, Object, ObjectSpec};
use serde_json::{Value, json};

use crate::print;
use crate::stop::Stop;
use place::At;

/// Where programs are attached whose section does not say it, or says something else.
#[derive(clap::Args)]
pub(crate) struct Places {
    /// Attach a program elsewhere than its section says, or where that says nothing
    #[arg(long, value_name = "PROGRAM=PLACE", value_parser = At::parse, long_help = place::help())]
    at: Vec<At>,
    /// Refuse pins that another user could have put there, or could still change
    #[arg(long)]
    trusted_pins: bool,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The object file
    file: PathBuf,
    #[command(flatten)]
    places: Places,
    /// Attach what can be attached, and say what cannot
    #[arg(long)]
    each: bool,
    /// Pin the links in this folder of a bpffs, by the names of their programs, and end at once
    #[arg(long, value_name = "DIR", conflicts_with = "duration")]
    pin: Option<PathBuf>,
    /// Detach after this many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print the whole log of the kernel if it refuses a program
    #[arg(long)]
    pub(crate) log: bool,
}

#[derive(clap::Args)]
pub(crate) struct DetachArguments {
    /// Pinned links
    #[arg(required = true)]
    pins: Vec<PathBuf>,
}

/// A program, or a map of struct_ops, that is attached.
pub(crate) struct Attached {
    name: String,
    place: String,
    pub(crate) link: Link,
}

impl Places {
    /// Loads an object of which the programs with a place are attached there alone.
    pub(crate) fn load(&self, mut spec: ObjectSpec) -> anyhow::Result<Object> {
        for at in &self.at {
            spec.program_mut(&at.program)?.autoattach = false;
        }
        Ok(Loader::new().trusted_pins(self.trusted_pins).load(&spec)?)
    }

    /// Attaches everything, each with what became of it: first what is told by sections.
    pub(crate) fn attach_each(&self, object: &Object) -> Vec<(String, anyhow::Result<Attached>)> {
        let by_section = object.attach_each().into_iter().map(|(name, link)| {
            let place = object.section(&name).unwrap_or("struct_ops").to_owned();
            (name, place, link.map_err(anyhow::Error::from))
        });
        let by_hand = self.at.iter().map(|at| {
            let link = by_place::attach(object, at);
            (at.program.clone(), at.place.clone(), link)
        });
        let all = by_section.chain(by_hand);
        all.map(|(name, place, link)| {
            let attached = link.map(|link| Attached {
                name: name.clone(),
                place,
                link,
            });
            (name, attached)
        })
        .collect()
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let file = &arguments.file;
    let spec = ObjectSpec::open(file).with_context(|| format!("opening {}", file.display()))?;
    let stop = match &arguments.pin {
        Some(_) => None,
        None => Some(Stop::new(arguments.duration)?),
    };
    let object = arguments.places.load(spec)?;
    let mut attached = Vec::new();
    for (name, result) in arguments.places.attach_each(&object) {
        match result {
            Ok(one) => attached.push(one),
            Err(error) if arguments.each => {
                let why = print::chain(error.as_ref());
                print::note(&format!("`{name}` is left out: {why}"));
            }
            // What was attached until then is detached with the list.
            Err(error) => return Err(error),
        }
    }
    if attached.is_empty() {
        bail!("there is nothing to attach");
    }
    if let Some(folder) = &arguments.pin {
        if arguments.places.trusted_pins {
            attached
                .iter()
                .try_for_each(|one| check_trusted(folder.join(&one.name)))?;
        }
        pin(&attached, folder)?;
    }
    show(&attached, arguments.json)?;
    if let Some(stop) = stop {
        print::note("attached until Ctrl-C");
        stop.wait();
    }
    Ok(ExitCode::SUCCESS)
}

/// Pins all links, or none.
fn pin(attached: &[Attached], folder: &Path) -> anyhow::Result<()> {
    for (index, one) in attached.iter().enumerate() {
        if let Err(error) = one.link.pin(folder.join(&one.name)) {
            for pinned in attached.iter().take(index) {
                // The first failure is the one to tell.
                let _second = pinned.link.unpin();
            }
            return Err(error.into());
        }
    }
    Ok(())
}

fn show(attached: &[Attached], as_json: bool) -> anyhow::Result<()> {
    let id = |one: &Attached| one.link.info().ok().map(|info| info.id);
    let pin = |one: &Attached| one.link.pin_path().map(|path| path.display().to_string());
    if as_json {
        let rows = attached.iter().map(|one| {
            json!({"name": one.name, "place": one.place, "link_id": id(one), "pinned": pin(one)})
        });
        return print::line(&Value::Array(rows.collect()).to_string());
    }
    let mut table = print::table(&["name", "place", "link", "pinned"]);
    for one in attached {
        table.add_row([
            one.name.clone(),
            one.place.clone(),
            id(one).map_or_else(String::new, |id| id.to_string()),
            pin(one).unwrap_or_default(),
        ]);
    }
    print::line(&table.to_string())
}

pub(crate) fn detach(arguments: &DetachArguments) -> anyhow::Result<ExitCode> {
    for path in &arguments.pins {
        let link = Link::from_pin(path).map_err(Error::from)?;
        link.unpin()?;
        link.detach()?;
    }
    Ok(ExitCode::SUCCESS)
}
