//! What an input may take: memory and time in proportion to its length.

use std::alloc::System;
use std::sync::Once;
use std::time::Duration;
use std::{panic, thread};

use cap::Cap;
use nix::time::{ClockId, clock_gettime};

/// Time that is free for an input of any length, with a sanitizer and on a busy machine.
const LEAST_TIME: Duration = Duration::from_secs(2);
const TIME_PER_BYTE: Duration = Duration::from_micros(100);

/// Counts what is allocated, and refuses what is above the limit, which ends the process where the
/// memory was asked for.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// As long as this lives, the limits are in force.
#[derive(Debug)]
#[must_use = "dropping it ends the limits"]
pub struct Armed {
    began: Duration,
    most: Duration,
}

/// From here on the process may take so many bytes more than it has, and `factor` for each byte of the
/// input. The time is looked at in the end: what hangs is ended by the fuzzer.
pub fn arm(input: impl AsRef<[u8]>, least: usize, factor: usize) -> Armed {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // To say where it was takes memory.
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            lift();
            report(info);
        }));
    });
    let len = input.as_ref().len();
    let most = HEAP.allocated() + least + factor * len;
    HEAP.set_limit(most).expect("more than there is");
    Armed {
        began: now(),
        most: LEAST_TIME + TIME_PER_BYTE * len as u32,
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        lift();
        let took = now().saturating_sub(self.began);
        assert!(
            thread::panicking() || took <= self.most,
            "it took {took:?}, at most {:?} are right",
            self.most
        );
    }
}

fn lift() {
    HEAP.set_limit(usize::MAX).expect("more than there is");
}

/// The time for which this process had a processor: it does not depend on what else runs.
fn now() -> Duration {
    let clock = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    clock.expect("there is such a clock").into()
}
