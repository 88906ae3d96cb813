//! Each object in a process of its own: what one does to its process, the others do not see.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use serde::de::DeserializeOwned;

/// The objects of a folder, sorted.
pub fn objects(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "o"))
        .collect();
    files.sort();
    Ok(files)
}

/// Runs this program with the arguments made of each of `items`, so many at once; what each printed
/// as JSON comes back in the order of the items.
pub fn each<I: Sync, T: DeserializeOwned + Send>(
    items: &[I],
    jobs: usize,
    arguments: impl Fn(&I) -> Vec<OsString> + Sync,
) -> Vec<anyhow::Result<T>> {
    let results = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { break };
                    let result = one(arguments(item));
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn one<T: DeserializeOwned>(arguments: Vec<OsString>) -> anyhow::Result<T> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stderr(Stdio::null())
        .output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the process ended with {}", output.status))
}
