//! tracefs: where it is, and the numbers of its events.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{Error, Nearest};

const DEBUGFS: &str = "/sys/kernel/debug/tracing";
const TRACEFS: &str = "/sys/kernel/tracing";

/// The functions that the kernel can trace, a line each.
pub(crate) const FUNCTIONS: &str = "available_filter_functions";

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
    let events = || root().join("events");
    let mut file = events();
    file.extend([event, "id"]);
    match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Error::mismatch(
                file.display(),
                "the id of the event",
                text.trim(),
                "a number",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && events().exists() => {
            let nearest = nearest_event(&events(), event);
            Err(Error::NotFound {
                what: "tracepoint",
                name: event.into(),
                place: events().into_boxed_path(),
                nearest,
            })
        }
        Err(error) => Err(Error::file("read", &file)(error)),
    }
}

/// Events of the category that the name says, or else categories.
fn nearest_event(events: &Path, event: &str) -> Nearest {
    let path = events.join(event);
    match path.parent().is_some_and(Path::exists) {
        true => Nearest::beside(&path, true),
        false => Nearest::beside(path.parent().unwrap_or(&path), true),
    }
}

/// The functions that the kernel can trace, of those that are wanted.
pub(crate) fn functions(
    root: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<HashSet<String>, Error> {
    let mut names = HashSet::new();
    each_line(&root.join(FUNCTIONS), |line| {
        let name = line.split_whitespace().next().unwrap_or_default();
        if is_wanted(name) {
            names.insert(name.to_owned());
        }
    })?;
    Ok(names)
}

/// Visits the lines of a file that may be long.
pub(crate) fn each_line(path: &Path, mut visit: impl FnMut(&str)) -> Result<(), Error> {
    let failed = || Error::file("read", path);
    let mut file = BufReader::new(File::open(path).map_err(failed())?);
    let mut line = String::new();
    while file.read_line(&mut line).map_err(failed())? != 0 {
        visit(&line);
        line.clear();
    }
    Ok(())
}
