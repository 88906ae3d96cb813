//! How fast the records of a full perf buffer are consumed.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use libbpf_sys as sys;
use purebpf::handles::{PerfBufferOptions, PerfRecord, TestRun};
use purebpf::{Map, Object, ObjectSpec};

use crate::ring::{Candidate, look, table};
use crate::speed;

/// Pages of the buffer.
const PAGES: usize = 16384;
const PAGE: usize = 4096;

/// Opens a buffer, fills it, and measures how long it takes to consume.
type Consume = fn(&Map, &dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<(u64, Duration)>;

/// Prints the records a second of a bare loop over the mapping, libbpf and purebpf.
pub fn run(runs: usize) -> anyhow::Result<()> {
    let object = speed::compile("fill_perf.bpf.c", &[])?.context("there is no clang-19")?;
    let all: [Candidate<Consume>; 4] = [
        ("loop", bare_loop),
        ("libbpf", by_libbpf),
        ("purebpf", by_purebpf),
        ("purebpf, by callback", by_callback),
    ];
    table(runs, &all, |size, consume| {
        let mut spec = ObjectSpec::open(&object)?;
        spec.set_global("size", size)?;
        let object = purebpf::load(&spec)?;
        let (count, time) = consume(&object.map("perf")?, &|| fill(&object))?;
        let sent = object.global::<u64>("sent")?.get();
        ensure!(count == sent, "{count} of {sent} records were consumed");
        Ok(count as f64 / time.as_secs_f64() / 1e6)
    })?;
    std::fs::remove_file(object)?;
    Ok(())
}

/// Sends on the first CPU until nothing fits.
fn fill(object: &Object) -> anyhow::Result<()> {
    let program = object.program("fill")?;
    let refused = object.global::<u64>("refused")?;
    let run = TestRun::new().on_cpu(0);
    while refused.get() == 0 {
        program.test_run(&run)?;
    }
    Ok(())
}

fn seen(record: &PerfRecord<'_>) -> u64 {
    match record {
        PerfRecord::Sample(record) => {
            look(record);
            1
        }
        _ => 0,
    }
}

fn by_purebpf(map: &Map, fill: &dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<(u64, Duration)> {
    let mut perf = PerfBufferOptions::new().pages(PAGES).cpus([0]).open(map)?;
    fill()?;
    let start = Instant::now();
    let mut count = 0;
    while let Some(record) = perf.next()? {
        count += seen(&record);
    }
    Ok((count, start.elapsed()))
}

fn by_callback(
    map: &Map,
    fill: &dyn Fn() -> anyhow::Result<()>,
) -> anyhow::Result<(u64, Duration)> {
    let mut perf = PerfBufferOptions::new().pages(PAGES).cpus([0]).open(map)?;
    fill()?;
    let start = Instant::now();
    let mut count = 0;
    perf.consume(|record| count += seen(record))?;
    Ok((count, start.elapsed()))
}

unsafe extern "C" fn callback(context: *mut c_void, _cpu: i32, data: *mut c_void, len: u32) {
    look(unsafe { std::slice::from_raw_parts(data.cast(), len as usize) });
    unsafe { *context.cast::<u64>() += 1 };
}

/// libbpf's buffers, which go with this.
struct Buffers(*mut sys::perf_buffer);

impl Buffers {
    fn new(map: &Map, count: &mut u64) -> anyhow::Result<Self> {
        let context = std::ptr::from_mut(count).cast();
        let fd = map.as_fd().as_raw_fd();
        let none = std::ptr::null();
        let buffers =
            unsafe { sys::perf_buffer__new(fd, PAGES as u64, Some(callback), None, context, none) };
        ensure!(!buffers.is_null(), "libbpf has no perf buffer");
        Ok(Self(buffers))
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        unsafe { sys::perf_buffer__free(self.0) };
    }
}

fn by_libbpf(map: &Map, fill: &dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<(u64, Duration)> {
    let mut count = 0;
    let buffers = Buffers::new(map, &mut count)?;
    fill()?;
    let start = Instant::now();
    let result = unsafe { sys::perf_buffer__consume_buffer(buffers.0, 0) };
    let time = start.elapsed();
    ensure!(result == 0, "libbpf: {result}");
    drop(buffers);
    Ok((count, time))
}

/// A loop over the memory that libbpf has mapped.
fn bare_loop(map: &Map, fill: &dyn Fn() -> anyhow::Result<()>) -> anyhow::Result<(u64, Duration)> {
    use std::sync::atomic::{AtomicU64, Ordering};
    let mut unused = 0;
    let buffers = Buffers::new(map, &mut unused)?;
    let (mut base, mut size) = (std::ptr::null_mut(), 0);
    let result = unsafe { sys::perf_buffer__buffer(buffers.0, 0, &raw mut base, &raw mut size) };
    ensure!(result == 0, "libbpf: {result}");
    let base: *mut u8 = base.cast();
    fill()?;
    let start = Instant::now();
    let mut count = 0;
    unsafe {
        let head = (*base.add(1024).cast::<AtomicU64>()).load(Ordering::Acquire);
        let tail = &*base.add(1032).cast::<AtomicU64>();
        let mut at = tail.load(Ordering::Acquire);
        while at < head {
            let record = base.add(PAGE + (at as usize & (PAGES * PAGE - 1)));
            let header = record.cast::<u64>().read();
            let (kind, whole) = (header as u32, header >> 48);
            // No record of these sizes breaks at the end before the buffer is full.
            if kind == 9 {
                let len = record.add(8).cast::<u32>().read() as usize;
                look(std::slice::from_raw_parts(record.add(12), len));
                count += 1;
            }
            at += whole;
            tail.store(at, Ordering::Release);
        }
    }
    let time = start.elapsed();
    Ok((count, time))
}
