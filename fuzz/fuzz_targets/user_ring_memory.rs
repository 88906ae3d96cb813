//! A user ring buffer whose pages anybody writes, between any two steps of its writer.

#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_fuzz::shared::Memory;
use purebpf_handles::buffer::memory::UserPages;
use purebpf_syscall::Mapping;

const PAGE: usize = 4096;
const SIZE: usize = 4096;
const ALL: usize = 2 * PAGE + 2 * SIZE;
/// Of a record: length and flags, and what is zero.
const HEADER: usize = 8;
/// In the length: programs pass the record over.
const DISCARD: u32 = 1 << 30;

/// The writer's view, and one of all that can be written.
struct Ring {
    pages: UserPages,
    all: Mapping,
}

fn ring() -> Ring {
    let memory = Memory::new(ALL);
    Ring {
        pages: UserPages {
            consumer: memory.map(0, PAGE, false),
            producer: memory.map(PAGE, PAGE + 2 * SIZE, true),
            page: PAGE,
            size: SIZE,
        },
        all: memory.map(0, ALL, true),
    }
}

thread_local! {
    static RING: OnceCell<Ring> = const { OnceCell::new() };
}

fn number(bytes: &[u8]) -> usize {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(wide) as usize
}

/// One step of the other side, both positions and a header, and one of the writer: a record, of which
/// nothing but its own place may be touched.
fn step(ring: &Ring, step: &[u8; 32]) {
    let (positions, rest) = step.split_at(16);
    let (header, rest) = rest.split_at(HEADER);
    let (len, rest) = rest.split_at(4);
    let (offset, how) = rest.split_at(2);
    let at = number(&positions[8..]) % SIZE;
    ring.all.write(0, &positions[..8]).expect("it fits");
    ring.all.write(PAGE, &positions[8..]).expect("it fits");
    ring.all.write(2 * PAGE + at, header).expect("it fits");
    let all = || {
        let mut bytes = vec![0; ALL];
        ring.all.read(0, &mut bytes).expect("it is there");
        bytes
    };
    let before = all();

    let pages = &ring.pages;
    // Most records are short.
    let len = match how[0] & 1 {
        0 => number(len) % (SIZE + 64),
        _ => number(len),
    };
    let place = pages.place(len);
    let [consumer, producer] = [0, 8].map(|start| number(&positions[start..start + 8]));
    let used = producer.wrapping_sub(consumer);
    let whole = pages.whole(len);
    let has_room = whole.is_some_and(|whole| used <= SIZE && whole <= SIZE - used);
    assert_eq!(place, has_room.then_some(producer));
    let (Some(position), Some(whole)) = (place, whole) else {
        return;
    };
    assert!(whole % 8 == 0 && (len + HEADER..=SIZE).contains(&whole));
    let Some(room) = pages.reserve(position, len) else {
        // Records are where their headers can be read at once.
        assert_ne!(position % 4, 0);
        assert_eq!(all(), before);
        return;
    };
    assert_eq!(room.bytes(), len);
    let record = vec![how[1]; len.min(64)];
    let offset = number(offset);
    let is_written = pages.write(room, offset, &record).is_some();
    assert_eq!(is_written, offset + record.len() <= len);
    let flag = match how[0] & 2 {
        0 => {
            pages.submit(room);
            0
        }
        _ => {
            pages.discard(room);
            DISCARD
        }
    };

    let mut expected = before;
    let start = 2 * PAGE + position % SIZE;
    let header = u64::from(len as u32 | flag).to_le_bytes();
    let after = position.wrapping_add(whole).to_ne_bytes();
    let parts = [(PAGE, &after[..]), (start, &header)];
    let data = is_written.then_some((start + HEADER + offset, &record[..]));
    for (start, bytes) in parts.into_iter().chain(data) {
        expected[start..start + bytes.len()].copy_from_slice(bytes);
    }
    assert_eq!(all(), expected);
}

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    RING.with(|ring| {
        let ring = ring.get_or_init(self::ring);
        ring.all.write(0, &[0; ALL]).expect("it fits");
        for bytes in data.as_chunks().0 {
            step(ring, bytes);
        }
    });
});
