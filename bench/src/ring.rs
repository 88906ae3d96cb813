//! How fast the records of a full ring buffer are consumed.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libbpf_sys as sys;
use purebpf::handles::TestRun;
use purebpf::{Map, ObjectSpec, RingBuffer};

use crate::speed;

/// Bytes of records that are measured.
const SIZES: [u32; 2] = [64, 2048];

type Consume = fn(&Map) -> anyhow::Result<(u64, Duration)>;

/// Who consumes, and how.
pub type Candidate<C> = (&'static str, C);

/// Prints the records a second of a bare loop over the mapping, libbpf and purebpf.
pub fn run(runs: usize) -> anyhow::Result<()> {
    let object = speed::compile("fill.bpf.c", &[])?.context("there is no clang-19")?;
    let all: [Candidate<Consume>; 4] = [
        ("loop", bare_loop),
        ("libbpf", by_libbpf),
        ("purebpf", by_purebpf),
        ("purebpf, by callback", by_callback),
    ];
    table(runs, &all, |size, consume| rate(&object, size, consume))?;
    std::fs::remove_file(object)?;
    Ok(())
}

/// Prints the median rate of each, and beside that of the first.
pub fn table<C: Copy>(
    runs: usize,
    all: &[Candidate<C>],
    rate: impl Fn(u32, C) -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    println!("record bytes  by                   million records/s  of the bare loop's");
    for size in SIZES {
        let mut rates = vec![Vec::new(); all.len()];
        // In turn, so that what else the machine does meets all of them.
        for _ in 0..runs {
            for (rates, (_, consume)) in rates.iter_mut().zip(all) {
                rates.push(rate(size, *consume)?);
            }
        }
        let mut bare = None;
        for (rates, (name, _)) in rates.iter_mut().zip(all) {
            rates.sort_by(f64::total_cmp);
            let median = rates.get(rates.len() / 2).copied().unwrap_or_default();
            let of_bare = median / *bare.get_or_insert(median);
            println!("{size:>12}  {name:<20} {median:>17.1}  {of_bare:>18.3}");
        }
    }
    Ok(())
}

/// Fills a ring buffer, and lets it be consumed.
fn rate(object: &std::path::Path, size: u32, consume: Consume) -> anyhow::Result<f64> {
    let mut spec = ObjectSpec::open(object)?;
    spec.set_global("size", size)?;
    let object = purebpf::load(&spec)?;
    object.program("fill")?.test_run(&TestRun::new())?;
    let sent = object.global::<u64>("sent")?.get();
    let (count, time) = consume(&object.map("ring")?)?;
    ensure!(count == sent, "{count} of {sent} records were consumed");
    Ok(count as f64 / time.as_secs_f64() / 1e6)
}

/// What each of them does with a record: as little as shows that it was seen.
pub fn look(record: &[u8]) -> u64 {
    std::hint::black_box(record.len() as u64)
}

fn by_purebpf(map: &Map) -> anyhow::Result<(u64, Duration)> {
    let mut ring = RingBuffer::new(map)?;
    let start = Instant::now();
    let mut count = 0;
    while let Some(record) = ring.next()? {
        look(&record);
        count += 1;
    }
    Ok((count, start.elapsed()))
}

fn by_callback(map: &Map) -> anyhow::Result<(u64, Duration)> {
    let mut ring = RingBuffer::new(map)?;
    let start = Instant::now();
    let count = ring.consume(|record| {
        look(record);
    })?;
    Ok((count as u64, start.elapsed()))
}

unsafe extern "C" fn callback(
    context: *mut std::ffi::c_void,
    data: *mut std::ffi::c_void,
    len: sys::size_t,
) -> std::ffi::c_int {
    look(unsafe { std::slice::from_raw_parts(data.cast(), len as usize) });
    unsafe { *context.cast::<u64>() += 1 };
    0
}

fn by_libbpf(map: &Map) -> anyhow::Result<(u64, Duration)> {
    let mut count = 0u64;
    let context = (&raw mut count).cast();
    let fd = map.as_fd().as_raw_fd();
    let ring = unsafe { sys::ring_buffer__new(fd, Some(callback), context, std::ptr::null()) };
    ensure!(!ring.is_null(), "libbpf has no ring buffer");
    let start = Instant::now();
    let result = unsafe { sys::ring_buffer__consume(ring) };
    let time = start.elapsed();
    unsafe { sys::ring_buffer__free(ring) };
    ensure!(result > 0, "libbpf: {result}");
    Ok((count, time))
}

fn bare_loop(map: &Map) -> anyhow::Result<(u64, Duration)> {
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    let page = 4096usize;
    let size = map.max_entries() as usize;
    let fd = map.as_fd();
    let mapped = |len: usize, write: bool, offset: usize| -> anyhow::Result<*mut u8> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap};
        let mut flags = ProtFlags::PROT_READ;
        flags.set(ProtFlags::PROT_WRITE, write);
        let len = std::num::NonZero::new(len).context("a length")?;
        let at = unsafe { mmap(None, len, flags, MapFlags::MAP_SHARED, fd, offset as i64) }?;
        Ok(at.as_ptr().cast())
    };
    let consumer = mapped(page, true, 0)?;
    let producer = mapped(page + 2 * size, false, page)?;
    let start = Instant::now();
    let mut count = 0;
    unsafe {
        let position = &*consumer.cast::<AtomicU64>();
        let end = (*producer.cast::<AtomicU64>()).load(Ordering::Acquire);
        let mut at = position.load(Ordering::Acquire);
        while at < end {
            let record = producer.add(page + (at as usize & (size - 1)));
            let header = (*record.cast::<AtomicU32>()).load(Ordering::Acquire);
            let len = (header & (u32::MAX >> 2)) as usize;
            look(std::slice::from_raw_parts(record.add(8), len));
            at += (len as u64 + 15) & !7;
            position.store(at, Ordering::Release);
            count += 1;
        }
    }
    let time = start.elapsed();
    unsafe {
        use nix::sys::mman::munmap;
        munmap(
            std::ptr::NonNull::new(consumer.cast()).context("mapped")?,
            page,
        )?;
        munmap(
            std::ptr::NonNull::new(producer.cast()).context("mapped")?,
            page + 2 * size,
        )?;
    }
    Ok((count, time))
}
