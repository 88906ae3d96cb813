//! `purebpf run`: load, attach, show what arrives, detach.
//!
//! ```text
//! records.rs  which type the records of a ring buffer have, and their values
//! show.rs     values as rows of a table or as JSON
//! ```

mod records;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use purebpf::plan::ObjectSpec;
use purebpf::{Error, MapType, Object, RingBuffer};

use crate::attach::{Attached, Places};
use crate::print;
use crate::stop::Stop;
use records::Records;
use show::Show;

/// Every process that starts a program or exits.
const PROCESSES: &[u8] = if cfg!(target_endian = "little") {
    include_bytes!("../../bpf/processes.bpf.o")
} else {
    include_bytes!("../../bpf/processes.bpfeb.o")
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The object file [default: one that shows processes]
    file: Option<PathBuf>,
    /// Print a line of JSON for each record
    #[arg(long)]
    json: bool,
    /// Stop after this many records
    #[arg(long)]
    count: Option<u64>,
    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Print the whole log of the kernel if it refuses a program
    #[arg(long)]
    pub(crate) log: bool,
    /// Type of the records: a struct of the object [default: the value type of the map]
    #[arg(long = "type", value_name = "NAME")]
    type_name: Option<String>,
    #[command(flatten)]
    places: Places,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spec = match &arguments.file {
        Some(file) => {
            ObjectSpec::open(file).with_context(|| format!("opening {}", file.display()))?
        }
        None => ObjectSpec::parse(PROCESSES)?,
    };
    let stop = Stop::new(arguments.duration)?;
    let records = Records::new(&spec, arguments.type_name.as_deref())?;
    let object = arguments.places.load(spec)?;
    let ring = reader(&object)?;
    // Dropped, and so detached, when this function is left, however that happens.
    let attached = attach(&object, &arguments.places)?;
    let mut show = match arguments.json {
        true => Show::json(),
        false => Show::table(),
    };
    match ring {
        Some(ring) => stream(arguments, ring, &records, &mut show, &stop)?,
        None => stop.wait(),
    }
    drop(attached);
    Ok(ExitCode::SUCCESS)
}

fn attach(object: &Object, places: &Places) -> anyhow::Result<Vec<Attached>> {
    let mut attached = Vec::new();
    let mut left = None;
    for (_, result) in places.attach_each(object) {
        match result {
            Ok(one) => attached.push(one),
            // Others may do without it.
            Err(error) if matches!(error.downcast_ref(), Some(Error::NoTarget { .. })) => {
                left.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (attached.is_empty(), left) {
        (false, _) => {}
        // The first one stands for all: it says what is missing.
        (true, Some(error)) => return Err(error),
        (true, None) => bail!("no section of the object says what to attach to"),
    }
    print::note(&format!(
        "{} of {} programs attached; Ctrl-C ends",
        attached.len(),
        object.programs().count()
    ));
    Ok(attached)
}

/// A reader of every ring buffer of the object.
fn reader(object: &Object) -> anyhow::Result<Option<RingBuffer>> {
    let mut reader: Option<RingBuffer> = None;
    for (_, map) in object
        .maps()
        .filter(|(_, map)| map.map_type() == MapType::RINGBUF)
    {
        match &mut reader {
            Some(reader) => {
                reader.add(&map)?;
            }
            None => reader = Some(RingBuffer::new(&map)?),
        }
    }
    Ok(reader)
}

fn stream(
    arguments: &Arguments,
    mut ring: RingBuffer,
    records: &Records,
    show: &mut Show,
    stop: &Stop,
) -> anyhow::Result<()> {
    let names: Vec<String> = ring.maps().map(|map| map.name().to_owned()).collect();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 && !stop.is_due() {
        while let Some(record) = ring.next()? {
            let map = names.get(record.map_index()).map_or("", String::as_str);
            let value = records.decode(map, &record);
            drop(record);
            show.record(&value)?;
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            ring.wait(Some(stop.next_look()))?;
        }
    }
    Ok(())
}
