//! A perf buffer whose pages anybody writes, between any two steps of its reader.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_fuzz::shared::Memory;
use purebpf_handles::PerfRecord;
use purebpf_handles::buffer::memory::{PerfPages, record};
use purebpf_syscall::Mapping;

const PAGE: usize = 4096;
const SIZE: usize = 4096;
/// Where `data_head` is in the control page; `data_tail` follows.
const HEAD: usize = 1024;

/// The reader's view, and one of all that can be written.
struct Buffer {
    pages: PerfPages,
    all: Mapping,
}

fn buffer() -> Buffer {
    let memory = Memory::new(PAGE + SIZE);
    let map = |writable| memory.map(0, PAGE + SIZE, writable);
    Buffer {
        pages: PerfPages {
            control: map(true),
            records: map(false),
            page: PAGE,
            size: SIZE,
        },
        all: map(true),
    }
}

thread_local! {
    static BUFFER: OnceCell<Buffer> = const { OnceCell::new() };
}

/// One step of the other side: both positions, and a header where the reader is.
fn write(buffer: &Buffer, step: &[u8; 24]) -> Option<()> {
    let (positions, header) = step.split_at(16);
    let tail = positions.get(8..)?.try_into().ok()?;
    let at = (u64::from_ne_bytes(tail) as usize % SIZE) & !7;
    buffer.all.write(HEAD, positions)?;
    buffer.all.write(PAGE + at, header)
}

/// Reads to the end, as `PerfBuffer::consume` does; so many records at most.
fn read(pages: &PerfPages, spare: &mut Vec<u8>) {
    for _ in 0..=SIZE / 8 {
        let before = pages.tail();
        let available = pages.available(before, pages.head()).unwrap_or_default();
        let (header, data) = if let Some(found) = pages.next_at(before, available) {
            found
        } else {
            let Ok(Some(place)) = pages.find() else {
                return;
            };
            let data = pages.data(place, spare);
            (place.header, data.expect("what was found is there"))
        };
        assert!(data.len() < SIZE);
        let moved = header.after.wrapping_sub(before);
        assert!(
            (8..=SIZE as u64).contains(&moved),
            "the reader moved by {moved}"
        );
        // Dropping it moves the reader; one that is broken leaves it where it is.
        let Ok(record) = record(pages, 0, true, (header, data), true) else {
            return;
        };
        // All of it can be touched.
        if let PerfRecord::Sample(record) | PerfRecord::Other { record, .. } = &record {
            std::hint::black_box(record.iter().fold(0u8, |sum, byte| sum ^ byte));
        }
        drop(record);
        assert_eq!(pages.tail(), header.after);
    }
    panic!("there are more records than fit");
}

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    BUFFER.with(|buffer| {
        let buffer = buffer.get_or_init(self::buffer);
        let mut spare = Vec::new();
        let (data, steps) = data.split_at(data.len().min(SIZE));
        buffer.all.write(PAGE, data).expect("it fits");
        read(&buffer.pages, &mut spare);
        for step in steps.as_chunks().0 {
            write(buffer, step).expect("it fits");
            read(&buffer.pages, &mut spare);
        }
        assert!(spare.capacity() <= 2 * SIZE);
    });
});
