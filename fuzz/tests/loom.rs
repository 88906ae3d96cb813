//! A ring buffer's reader against a model of the kernel's side, in every order in which two threads
//! can see each other's stores: `cargo test --release --test loom`, here in `fuzz`.
//!
//! The reader is the real one; the memory and the writer are of the model. The writer does what
//! `bpf_ringbuf_reserve` and `bpf_ringbuf_submit` do, with the kernel's barriers.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::ops::Range;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use loom::thread;
use purebpf_handles::buffer::memory::{Pages, Shared};

/// Words of 8 bytes of data: two records of a header and a word.
const WORDS: usize = 4;
const SIZE: usize = WORDS * 8;
/// Bytes before the data.
const PAGE: usize = 8;
/// Bytes of a record with its header.
const RECORD: usize = 16;
const BUSY: usize = 1 << 31;
const DISCARD: usize = 1 << 30;

struct Ring {
    consumer: AtomicUsize,
    producer: AtomicUsize,
    words: [AtomicUsize; WORDS],
}

/// One of the two mappings.
struct Side {
    ring: Arc<Ring>,
    is_consumer: bool,
}

impl Ring {
    fn word(&self, offset: usize) -> &AtomicUsize {
        &self.words[(offset - PAGE) / 8 % WORDS]
    }
}

impl Shared for Side {
    fn position(&self, offset: usize) -> Option<usize> {
        assert_eq!(offset, 0);
        let ring = &self.ring;
        let position = if self.is_consumer {
            &ring.consumer
        } else {
            &ring.producer
        };
        Some(position.load(Ordering::Acquire))
    }

    fn set_position(&self, offset: usize, position: usize) -> Option<()> {
        assert!(self.is_consumer && offset == 0);
        self.ring.consumer.store(position, Ordering::Release);
        Some(())
    }

    fn header(&self, offset: usize) -> Option<u32> {
        let header = self.ring.word(offset).load(Ordering::Acquire);
        Some(u32::try_from(header).expect("a word of data is taken for a header"))
    }

    fn bytes(&self, range: Range<usize>) -> Option<&[u8]> {
        assert!(range.len() == 8 && range.end <= PAGE + 2 * SIZE);
        let word = self.ring.word(range.start).load(Ordering::Relaxed);
        // The model cannot lend out its memory.
        Some(Box::leak(Box::new(word.to_ne_bytes())))
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// The kernel's side.
struct Writer {
    ring: Arc<Ring>,
    position: usize,
}

impl Writer {
    /// Reserves a record, if there is room, and fills it in.
    fn reserve(&mut self, value: usize) -> Option<usize> {
        let consumer = self.ring.consumer.load(Ordering::Acquire);
        let at = self.position;
        if at + RECORD - consumer > SIZE {
            return None;
        }
        let header = self.ring.word(PAGE + at % SIZE);
        header.store(8 | BUSY, Ordering::Relaxed);
        self.position += RECORD;
        self.ring.producer.store(self.position, Ordering::Release);
        let data = self.ring.word(PAGE + at % SIZE + 8);
        data.store(value, Ordering::Relaxed);
        Some(at)
    }

    /// Lets the reader have it; whether the reader is woken.
    fn commit(&self, at: usize, flags: usize) -> bool {
        let header = self.ring.word(PAGE + at % SIZE);
        // `xchg`, a full barrier.
        header.swap(8 | flags, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.ring.consumer.load(Ordering::Acquire) == at
    }
}

fn pair() -> (Writer, Pages<Side>) {
    let ring = Arc::new(Ring {
        consumer: AtomicUsize::new(0),
        producer: AtomicUsize::new(0),
        // What was there before is no header.
        words: std::array::from_fn(|_| AtomicUsize::new(0)),
    });
    let side = |is_consumer| Side {
        ring: Arc::clone(&ring),
        is_consumer,
    };
    let pages = Pages {
        consumer: side(true),
        producer: side(false),
        page: PAGE,
        size: SIZE,
    };
    let position = 0;
    (Writer { ring, position }, pages)
}

/// The next record as `RingBuffer::next` finds it, given back.
fn read(pages: &Pages<Side>) -> Option<usize> {
    let (data, after) = match pages.next() {
        Some((data, after)) => (data, after),
        None => {
            let place = pages.find().expect("the pages are as they should be")?;
            (pages.data(place).unwrap(), place.after)
        }
    };
    let value = usize::from_ne_bytes(data.try_into().unwrap());
    pages.release(after);
    Some(value)
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(test);
}

#[test]
fn records_are_read_whole_and_in_order_while_their_memory_is_used_again() {
    const COUNT: usize = 3;
    model(|| {
        let (mut writer, pages) = pair();
        let writing = thread::spawn(move || {
            for value in 100..100 + COUNT {
                let at = loop {
                    match writer.reserve(value) {
                        Some(at) => break at,
                        None => thread::yield_now(),
                    }
                };
                writer.commit(at, 0);
            }
        });
        for expected in 100..100 + COUNT {
            let value = loop {
                match read(&pages) {
                    Some(value) => break value,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(value, expected);
        }
        writing.join().unwrap();
        assert_eq!(pages.consumer_position(), COUNT * RECORD);
    });
}

#[test]
fn a_record_that_the_reader_does_not_see_wakes_it() {
    model(|| {
        let (mut writer, pages) = pair();
        let first = writer.reserve(1).unwrap();
        writer.commit(first, 0);
        let second = writer.reserve(2).unwrap();
        let writing = thread::spawn(move || writer.commit(second, 0));
        assert_eq!(read(&pages), Some(1));
        let seen = read(&pages);
        let is_woken = writing.join().unwrap();
        assert!(seen == Some(2) || is_woken, "the reader sleeps for ever");
    });
}

#[test]
fn discarded_records_are_given_back_and_busy_ones_waited_for() {
    model(|| {
        let (mut writer, pages) = pair();
        let first = writer.reserve(1).unwrap();
        let second = writer.reserve(2).unwrap();
        let writing = thread::spawn(move || {
            writer.commit(second, 0);
            writer.commit(first, DISCARD);
        });
        let value = loop {
            match read(&pages) {
                Some(value) => break value,
                None => thread::yield_now(),
            }
        };
        assert_eq!(value, 2);
        writing.join().unwrap();
        assert_eq!(pages.consumer_position(), 2 * RECORD);
    });
}
