//! What access to the elements of a map costs beside the system call, and how fast batches are.

use std::hint::black_box;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use libbpf_sys as sys;
use purebpf::handles::map::Batch;
use purebpf::handles::{MapAttributes, TypedMap, UpdateFlags};
use purebpf::{Map, MapType};

use crate::speed::{instructions, median};

/// What is done, again and again.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Job {
    Lookup,
    Update,
    /// An element is written and removed again.
    Delete,
    NextKey,
    /// The values of all CPUs.
    PerCpu,
}

/// Who does it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// `bpf(2)` itself.
    Call,
    Libbpf,
    /// By bytes.
    Purebpf,
    /// By types.
    Typed,
}

const ELEMENTS: u32 = 1000;
/// Elements of the map that is read by batches.
const MANY: u32 = 100_000;
/// What libbpf's callers choose, and ours can.
const ROOM: usize = 16_384;

/// Prints instructions of each call, and the rate of batches.
pub fn run(runs: usize) -> anyhow::Result<()> {
    println!("operation  by        instructions  over the call");
    for job in Job::value_variants() {
        let mut bare = 0.0;
        for by in By::value_variants() {
            let Some(count) = of_one(*by, *job)? else {
                continue;
            };
            if *by == By::Call {
                bare = count;
            }
            println!(
                "{:<9}  {:<8}  {count:>12.1}  {:>13.1}",
                name(job)?,
                name(by)?,
                count - bare
            );
        }
    }
    batches(runs)
}

fn name(value: &impl ValueEnum) -> anyhow::Result<String> {
    let value = value.to_possible_value().context("it has a name")?;
    Ok(value.get_name().to_owned())
}

/// Instructions of one: what 20,000 more of them cost.
fn of_one(by: By, job: Job) -> anyhow::Result<Option<f64>> {
    if by == By::Typed && job == Job::PerCpu {
        return Ok(None);
    }
    let count = |times: u32| {
        let words = ["map-job".into(), name(&by)?, name(&job)?, times.to_string()];
        instructions(&words.map(Into::into))
    };
    Ok(Some((count(25_000)? - count(5_000)?) as f64 / 20_000.0))
}

/// Does it so many times, for a profiler to count.
pub fn one(by: By, job: Job, times: u32) -> anyhow::Result<()> {
    let kind = match job {
        Job::PerCpu => MapType::PERCPU_ARRAY,
        _ => MapType::HASH,
    };
    let map = Map::create(&MapAttributes::new(kind, 4, 8, ELEMENTS + 1))?;
    for key in 0..ELEMENTS {
        let value = vec![1; map.buffer_size()];
        map.update(&key.to_ne_bytes(), &value, UpdateFlags::ANY)?;
    }
    match by {
        By::Call => calls(&map, job, times, bare),
        By::Libbpf => calls(&map, job, times, libbpf),
        By::Purebpf => bytes(&map, job, times),
        By::Typed => typed(&map.typed()?, job, times),
    }
}

/// One call: command, fd, addresses of key and value.
type Call = fn(u32, i32, *const u32, *mut u64) -> i64;

fn bare(command: u32, fd: i32, key: *const u32, value: *mut u64) -> i64 {
    #[repr(C)]
    struct Element {
        fd: i32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let element = Element {
        fd,
        pad: 0,
        key: key as u64,
        value: value as u64,
        flags: 0,
    };
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const element,
            size_of::<Element>(),
        )
    }
}

fn libbpf(command: u32, fd: i32, key: *const u32, value: *mut u64) -> i64 {
    let (key, value) = (key.cast(), value.cast());
    let result = unsafe {
        match command {
            sys::BPF_MAP_LOOKUP_ELEM => sys::bpf_map_lookup_elem(fd, key, value),
            sys::BPF_MAP_UPDATE_ELEM => sys::bpf_map_update_elem(fd, key, value, 0),
            sys::BPF_MAP_DELETE_ELEM => sys::bpf_map_delete_elem(fd, key),
            _ => sys::bpf_map_get_next_key(fd, key, value),
        }
    };
    result.into()
}

fn calls(map: &Map, job: Job, times: u32, call: Call) -> anyhow::Result<()> {
    let fd = map.as_fd().as_raw_fd();
    let mut value = vec![0_u64; map.buffer_size() / 8];
    for turn in 0..times {
        let key = turn % ELEMENTS;
        let mut made = |command, key: &u32| call(command, fd, key, value.as_mut_ptr());
        let result = match job {
            Job::Lookup | Job::PerCpu => made(sys::BPF_MAP_LOOKUP_ELEM, &key),
            Job::Update => made(sys::BPF_MAP_UPDATE_ELEM, &key),
            Job::Delete => {
                let written = made(sys::BPF_MAP_UPDATE_ELEM, &ELEMENTS);
                written
                    | call(
                        sys::BPF_MAP_DELETE_ELEM,
                        fd,
                        &ELEMENTS,
                        std::ptr::null_mut(),
                    )
            }
            // The key is the value of this call.
            Job::NextKey => made(sys::BPF_MAP_GET_NEXT_KEY, &key),
        };
        ensure!(black_box(result) == 0 || job == Job::NextKey, "{result}");
    }
    Ok(())
}

fn bytes(map: &Map, job: Job, times: u32) -> anyhow::Result<()> {
    let mut value = vec![0; map.buffer_size()];
    for turn in 0..times {
        let key = (turn % ELEMENTS).to_ne_bytes();
        let result = match job {
            Job::Lookup | Job::PerCpu => map.lookup_into(&key, &mut value, UpdateFlags::ANY)?,
            Job::Update => map.update(&key, &value, UpdateFlags::ANY).map(|()| true)?,
            Job::Delete => {
                map.update(&ELEMENTS.to_ne_bytes(), &value, UpdateFlags::ANY)?;
                map.delete(&ELEMENTS.to_ne_bytes())?
            }
            Job::NextKey => {
                let mut next = [0; 4];
                map.next_key_into(Some(&key), &mut next)?;
                true
            }
        };
        ensure!(black_box(result), "no such element");
    }
    Ok(())
}

fn typed(map: &TypedMap<u32, u64>, job: Job, times: u32) -> anyhow::Result<()> {
    for turn in 0..times {
        let key = turn % ELEMENTS;
        let result = match job {
            Job::Lookup => map.get(&key)?.is_some(),
            Job::Update => map.insert(&key, &1).map(|()| true)?,
            Job::Delete => {
                map.insert(&ELEMENTS, &1)?;
                map.remove(&ELEMENTS)?
            }
            Job::NextKey => {
                let mut next = [0; 4];
                map.as_map()
                    .next_key_into(Some(&key.to_ne_bytes()), &mut next)?;
                true
            }
            Job::PerCpu => bail!("not by this"),
        };
        ensure!(black_box(result), "no such element");
    }
    Ok(())
}

type Read = fn(&Map) -> anyhow::Result<usize>;

fn batches(runs: usize) -> anyhow::Result<()> {
    let map = Map::create(&MapAttributes::new(MapType::HASH, 4, 8, MANY))?;
    let keys: Vec<u8> = (0..MANY).flat_map(u32::to_ne_bytes).collect();
    let values = vec![7; MANY as usize * 8];
    map.update_batch(&keys, &values, UpdateFlags::ANY)?;
    let readers: [(&str, Read); 3] = [
        ("libbpf, 16384", by_libbpf),
        ("purebpf, 16384", |map| by_purebpf(map, Some(ROOM))),
        ("purebpf", |map| by_purebpf(map, None)),
    ];
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); readers.len()];
    // In turns, so that whatever else the machine does hits all of them.
    for _ in 0..runs {
        for ((name, read), times) in readers.iter().zip(&mut times) {
            let start = Instant::now();
            let count = read(&map)?;
            times.push(start.elapsed());
            ensure!(count == MANY as usize, "{name}: {count} of {MANY} elements");
        }
    }
    println!("\nbatches of        million elements/s");
    for ((name, _), times) in readers.iter().zip(&times) {
        let rate = f64::from(MANY) / median(times).as_secs_f64() / 1e6;
        println!("{name:<16}  {rate:>18.1}");
    }
    Ok(())
}

fn by_purebpf(map: &Map, room: Option<usize>) -> anyhow::Result<usize> {
    let mut batches = map.batches();
    if let Some(room) = room {
        batches = batches.room(room);
    }
    let (mut batch, mut found) = (Batch::default(), 0);
    while batches.read_into(&mut batch)? {
        found += black_box(&batch).count;
    }
    Ok(found)
}

/// A partly filled batch may come before the end, so that it goes on until the kernel says so.
fn by_libbpf(map: &Map) -> anyhow::Result<usize> {
    let fd = map.as_fd().as_raw_fd();
    let (mut keys, mut values) = (vec![0_u32; ROOM], vec![0_u64; ROOM]);
    let (mut place, mut found, mut is_start) = (0_u32, 0, true);
    loop {
        let mut count = ROOM as u32;
        let from: *mut u32 = match is_start {
            true => std::ptr::null_mut(),
            false => &mut place,
        };
        let mut next = 0_u32;
        let result = unsafe {
            sys::bpf_map_lookup_batch(
                fd,
                from.cast(),
                (&raw mut next).cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                std::ptr::null(),
            )
        };
        black_box((&keys, &values));
        found += count as usize;
        match -result {
            0 => (place, is_start) = (next, false),
            libc::ENOENT => return Ok(found),
            error => bail!("error {error}"),
        }
    }
}
