//! `purebpf btf dump` and `check`.

use std::io::{self, BufWriter, Write as _};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use purebpf::btf::dump::Header;
use purebpf::btf::{Btf, TypeId};
use serde_json::json;

use super::record::Record;
use crate::{print, source};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The source of the BTF
    source: String,
    /// The BTF that it continues, for a module in a file
    #[arg(long)]
    base: Option<String>,
    #[arg(long, short, value_enum, default_value_t = Format::Raw)]
    format: Format,
    /// Only types of this name; as C with all that they need. May be repeated
    #[arg(long = "type", short = 't', value_name = "NAME")]
    types: Vec<String>,
    /// With the format c: types in the order of the BTF, not by kind and name
    #[arg(long)]
    unsorted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each type and each of its members
    Raw,
    /// A header that compiles, such as vmlinux.h
    C,
    /// One object with a list of all types
    Json,
}

#[derive(clap::Args)]
pub(super) struct Check {
    /// The source of the BTF
    source: String,
    /// The BTF that it continues, for a module in a file
    #[arg(long)]
    base: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let btf = source::btf(&arguments.source, arguments.base.as_deref())?;
    let named = named(&btf, &arguments.types)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let ids = || -> Box<dyn Iterator<Item = TypeId>> {
        match arguments.types.is_empty() {
            true => Box::new(btf.own_ids()),
            false => Box::new(named.iter().copied()),
        }
    };
    match arguments.format {
        Format::C => {
            let mut header = Header::new(&btf)
                .expand_unnamed(true)
                .sorted(!arguments.unsorted)
                .roots(&named);
            if btf.base().is_some() {
                header = header.own();
            }
            out.write_all(header.to_text()?.as_bytes())?;
        }
        Format::Raw => {
            let mut text = String::new();
            for id in ids() {
                text.clear();
                Record::new(&btf, id)?.write(&mut text);
                out.write_all(text.as_bytes())?;
            }
        }
        Format::Json => {
            let mut types = Vec::new();
            for id in ids() {
                types.push(Record::new(&btf, id)?.to_json());
            }
            serde_json::to_writer(&mut out, &json!({ "types": types }))?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(())
}

/// All types of these names, in order of their ids.
fn named(btf: &Btf, names: &[String]) -> anyhow::Result<Vec<TypeId>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    for name in names {
        if btf.find_any(name).is_none() {
            bail!("there is no type `{name}`");
        }
    }
    let mut found = Vec::new();
    for id in btf.ids() {
        let name = btf.name(id);
        if name.is_ok_and(|name| names.iter().any(|wanted| wanted == name)) {
            found.push(id);
        }
    }
    Ok(found)
}

pub(super) fn check(arguments: &Check) -> anyhow::Result<()> {
    let btf = source::btf(&arguments.source, arguments.base.as_deref())?;
    btf.check()
        .with_context(|| format!("{} makes no sense", arguments.source))?;
    print::line(&format!("{} types, all sound", btf.own_ids().count()))
}
