//! tracefs: where it is, and the numbers of its events.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::Error;

const DEBUGFS: &str = "/sys/kernel/debug/tracing";
const TRACEFS: &str = "/sys/kernel/tracing";

/// Where tracefs is mounted, looked up once: below debugfs if it is there, as libbpf has it, or else
/// in its own place.
#[must_use]
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let debugfs = Path::new(DEBUGFS);
        if debugfs.exists() {
            debugfs
        } else {
            Path::new(TRACEFS)
        }
        .to_owned()
    })
}

/// The number of the event `CATEGORY/NAME`, as `perf_event_open` wants it.
///
/// # Errors
/// [`Error::NotFound`], or a file that cannot be read.
#[doc(alias = "determine_tracepoint_id")]
pub fn event_id(event: &str) -> Result<u64, Error> {
    let events = root().join("events");
    let file = events.join(event).join("id");
    match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Error::mismatch(
                file.display(),
                "the id of the event",
                text.trim(),
                "a number",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && events.exists() => {
            Err(Error::NotFound {
                what: "tracepoint",
                name: event.into(),
                place: events,
            })
        }
        Err(error) => Err(Error::file("read", &file)(error)),
    }
}
