//! Probes made in tracefs, for kernels whose perf events cannot be probes (before 4.17).
//!
//! Such a probe has a name and lives until it is removed.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, tracefs};

/// The two kinds of probes, by the words that the kernel has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeUnit {
    Kprobe,
    Uprobe,
}

impl ProbeUnit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kprobe => "kprobe",
            Self::Uprobe => "uprobe",
        }
    }

    fn events_file(self) -> PathBuf {
        tracefs::root().join(format!("{}_events", self.name()))
    }
}

/// A probe in tracefs; dropping it removes it.
#[derive(Debug)]
pub(crate) struct LegacyProbe {
    unit: ProbeUnit,
    /// `kprobes/NAME`, and so on.
    event: String,
}

impl LegacyProbe {
    /// Makes a probe at `place`, which is `FUNCTION+0xOFFSET` or `PATH:0xOFFSET`; `label` is for
    /// whoever reads the list of events.
    pub(crate) fn create(
        unit: ProbeUnit,
        retprobe: bool,
        label: &str,
        place: &str,
    ) -> Result<Self, Error> {
        let event = event_name(unit, retprobe, label);
        let line = format!("{}:{event} {place}", if retprobe { 'r' } else { 'p' });
        append(&unit.events_file(), &line)?;
        Ok(Self { unit, event })
    }

    /// The number of its tracepoint.
    pub(crate) fn id(&self) -> Result<u64, Error> {
        tracefs::event_id(&self.event)
    }
}

impl Drop for LegacyProbe {
    fn drop(&mut self) {
        let file = self.unit.events_file();
        let remove = || append(&file, &format!("-:{}", self.event));
        // Nobody is left to try again.
        if let Err(error) = remove().or_else(|_| remove()) {
            log::warn!("probe {} stays behind in tracefs: {error}", self.event);
        }
    }
}

fn append(file: &Path, line: &str) -> Result<(), Error> {
    let failed = || Error::file("add a line to", file);
    let mut open = OpenOptions::new()
        .append(true)
        .open(file)
        .map_err(failed())?;
    // In one write: the kernel takes a line, and a part of one, as soon as it comes.
    open.write_all(format!("{line}\n").as_bytes())
        .map_err(failed())
}

/// A name that no other probe of any process has: letters, digits and `_`, 63 bytes at most.
fn event_name(unit: ProbeUnit, retprobe: bool, label: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let group = match (unit, retprobe) {
        (ProbeUnit::Kprobe, false) => "kprobes",
        (ProbeUnit::Kprobe, true) => "kretprobes",
        (ProbeUnit::Uprobe, false) => "uprobes",
        (ProbeUnit::Uprobe, true) => "uretprobes",
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = format!("purebpf_{}_{count}_{label}", std::process::id())
        .chars()
        .map(plain)
        .take(63)
        .collect();
    format!("{group}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_names_are_plain_and_short_and_differ() {
        let long = "/usr/lib/x86_64-linux-gnu/libc.so.6 and quite a lot of other text";
        let first = event_name(ProbeUnit::Uprobe, true, long);
        let (group, name) = first.split_once('/').unwrap();
        assert_eq!((group, name.len()), ("uretprobes", 63));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        assert_ne!(first, event_name(ProbeUnit::Uprobe, true, long));
    }
}
