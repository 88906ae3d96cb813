//! When a command that goes on ends: at Ctrl-C, or when its time is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How long to wait before looking whether to stop.
const TICK: Duration = Duration::from_millis(100);

pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    end: Option<Instant>,
}

impl Stop {
    /// Takes Ctrl-C, once for a process; the time counts from now.
    pub(crate) fn new(seconds: Option<f64>) -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("taking Ctrl-C")?;
        let end = match seconds {
            Some(seconds) => {
                let duration = Duration::try_from_secs_f64(seconds).context("--duration")?;
                Instant::now().checked_add(duration)
            }
            None => None,
        };
        Ok(Self { asked, end })
    }

    pub(crate) fn is_due(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// How long to wait until the next look.
    pub(crate) fn next_look(&self) -> Duration {
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        self.end.map_or(TICK, |end| left(end).min(TICK))
    }

    /// Waits until it is time to stop.
    pub(crate) fn wait(&self) {
        while !self.is_due() {
            std::thread::sleep(self.next_look());
        }
    }
}
