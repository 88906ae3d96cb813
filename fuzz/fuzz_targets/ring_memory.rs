//! A ring buffer whose pages anybody writes, between any two steps of its reader.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_fuzz::shared::Memory;
use purebpf_handles::buffer::memory::Pages;
use purebpf_syscall::Mapping;

const PAGE: usize = 4096;
const SIZE: usize = 4096;

/// The reader's view, and one of all that can be written.
struct Ring {
    pages: Pages,
    all: Mapping,
}

fn ring() -> Ring {
    let memory = Memory::new(2 * PAGE + 2 * SIZE);
    Ring {
        pages: Pages {
            consumer: memory.map(0, PAGE, true),
            producer: memory.map(PAGE, PAGE + 2 * SIZE, false),
            page: PAGE,
            size: SIZE,
        },
        all: memory.map(0, 2 * PAGE + 2 * SIZE, true),
    }
}

thread_local! {
    static RING: OnceCell<Ring> = const { OnceCell::new() };
}

/// One step of the other side: both positions, and a header where the reader is.
fn write(ring: &Ring, step: &[u8; 20]) -> Option<()> {
    let (positions, header) = step.split_at(16);
    let (consumer, producer) = positions.split_at(8);
    let at = (u64::from_ne_bytes(consumer.try_into().ok()?) as usize % SIZE) & !7;
    ring.all.write(0, consumer)?;
    ring.all.write(PAGE, producer)?;
    ring.all.write(2 * PAGE + at, header)
}

/// Reads to the end, as `RingBuffer::consume` does; so many records at most.
fn read(pages: &Pages) {
    let inside = |data: &[u8]| {
        assert!(data.len() <= SIZE);
        // All of it can be touched.
        std::hint::black_box(data.iter().fold(0u8, |sum, byte| sum ^ byte));
    };
    for _ in 0..=SIZE / 8 {
        let before = pages.consumer_position();
        let after = if let Some((data, after)) = pages.next() {
            inside(data);
            after
        } else {
            let Ok(Some(place)) = pages.find() else {
                return;
            };
            inside(pages.data(place).expect("what was found is there"));
            place.after
        };
        let moved = after.wrapping_sub(before);
        assert!((8..=SIZE).contains(&moved), "the reader moved by {moved}");
        pages.release(after);
    }
    panic!("there are more records than fit");
}

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    RING.with(|ring| {
        let ring = ring.get_or_init(self::ring);
        let (data, steps) = data.split_at(data.len().min(SIZE));
        // The data is mapped twice in a row; here, as the kernel would show it.
        ring.all.write(2 * PAGE, data).expect("it fits");
        ring.all.write(2 * PAGE + SIZE, data).expect("it fits");
        read(&ring.pages);
        for step in steps.as_chunks().0 {
            write(ring, step).expect("it fits");
            read(&ring.pages);
        }
    });
});
