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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use purebpf::plan::ObjectSpec;
use purebpf::{Link, Loader, MapType, Object, RingBuffer};

use crate::print;
use records::Records;
use show::Show;

/// Every process that starts a program or exits.
const PROCESSES: &[u8] = include_bytes!("../../bpf/processes.bpf.o");

/// How long to wait for records before looking whether to stop.
const TICK: Duration = Duration::from_millis(100);

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
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let spec = match &arguments.file {
        Some(file) => {
            ObjectSpec::open(file).with_context(|| format!("opening {}", file.display()))?
        }
        None => ObjectSpec::parse(PROCESSES)?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("taking Ctrl-C")?;

    let object = Loader::new().load(&spec)?;
    let records = Records::new(&spec, arguments.type_name.as_deref())?;
    let ring = reader(&object)?;
    // Dropped, and so detached, when this function is left, however that happens.
    let links = attach(&object)?;
    let mut show = match arguments.json {
        true => Show::json(),
        false => Show::table(),
    };
    match ring {
        Some(ring) => stream(arguments, ring, &records, &mut show, &stop)?,
        None => wait(arguments, &stop),
    }
    drop(links);
    Ok(ExitCode::SUCCESS)
}

fn attach(object: &Object) -> anyhow::Result<Vec<Link>> {
    let links = object.attach_all()?;
    if links.is_empty() {
        // The first one stands for all: it says what is missing.
        let mut each = object.attach_each().into_iter();
        if let Some(error) = each.find_map(|(_, link)| link.err()) {
            return Err(error.into());
        }
        bail!("no section of the object says what to attach to");
    }
    print::note(&format!(
        "{} of {} programs attached; Ctrl-C ends",
        links.len(),
        object.programs().count()
    ));
    Ok(links)
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

/// When to stop: asked to, or out of time.
fn deadline(arguments: &Arguments) -> anyhow::Result<Option<Instant>> {
    let Some(seconds) = arguments.duration else {
        return Ok(None);
    };
    let duration = Duration::try_from_secs_f64(seconds).context("--duration")?;
    Ok(Instant::now().checked_add(duration))
}

fn stream(
    arguments: &Arguments,
    mut ring: RingBuffer,
    records: &Records,
    show: &mut Show,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let deadline = deadline(arguments)?;
    let names: Vec<String> = ring.maps().map(|map| map.name().to_owned()).collect();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 && !stop.load(Ordering::Relaxed) {
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
        let now = Instant::now();
        if left == 0 || deadline.is_some_and(|deadline| now >= deadline) {
            break;
        }
        let rest = deadline.map_or(TICK, |deadline| deadline.duration_since(now).min(TICK));
        ring.wait(Some(rest))?;
    }
    Ok(())
}

/// An object without ring buffers does its work in the kernel.
fn wait(arguments: &Arguments, stop: &AtomicBool) {
    let deadline = deadline(arguments).ok().flatten();
    while !stop.load(Ordering::Relaxed) && deadline.is_none_or(|end| Instant::now() < end) {
        std::thread::sleep(TICK);
    }
}
