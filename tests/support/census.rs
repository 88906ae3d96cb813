//! What a process holds, and what there is in the kernel: to be the same before and after.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use purebpf::handles::{BtfId, LinkId, MapId, ProgramId};
use purebpf::{Map, Program};

/// What lines about mounts begin with: where they are from. A thread may have mounts of its own, and those
/// of the process are what others see.
pub(crate) const MOUNTS: &str = "/proc/thread-self/mountinfo";

/// What this process holds, a line for each: fds, memory shared with the kernel, mounts, and what is
/// pinned below `root`.
pub(crate) fn held(root: &Path) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).unwrap_or_default();
        lines.insert(format!("fd {} {}", path.display(), target.display()));
    }
    let is_shared = |line: &&str| line.contains("bpf-map") || line.contains("perf_event");
    for (file, is_meant) in [
        ("/proc/self/maps", &is_shared as &dyn Fn(&&str) -> bool),
        // The kernel itself mounts tracefs below debugfs when somebody looks there.
        (MOUNTS, &|line| !line.contains(" - tracefs ")),
    ] {
        let text = fs::read_to_string(file).unwrap_or_default();
        let meant = text.lines().filter(is_meant);
        lines.extend(meant.map(|line| format!("{file} {line}")));
    }
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            lines.insert(format!("pin {}", path.display()));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    lines
}

/// The probes in tracefs, a line for each.
pub(crate) fn probes() -> Vec<String> {
    let root = purebpf::handles::tracefs::root();
    let files = ["kprobe_events", "uprobe_events"].map(|file| root.join(file));
    let texts = files.map(|file| fs::read_to_string(file).unwrap_or_default());
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.map(str::to_owned).collect()
}

/// Lists the ids of a kind.
type Ids = fn() -> BTreeSet<u32>;

/// Kinds of objects in the kernel, as `/proc/PID/fdinfo` names their ids.
const KINDS: [(&str, Ids); 4] = [
    ("map_id", || MapId::all().map(|id| id.unwrap().0).collect()),
    ("prog_id", || {
        ProgramId::all().map(|id| id.unwrap().0).collect()
    }),
    ("link_id", || {
        LinkId::all().map(|id| id.unwrap().0).collect()
    }),
    ("btf_id", || BtfId::all().map(|id| id.unwrap().0).collect()),
];

/// Objects of BPF: kind and id.
pub(crate) type Objects = BTreeSet<(&'static str, u32)>;

/// All that are in the kernel.
pub(crate) fn objects() -> Objects {
    let of = |(kind, ids): &(&'static str, Ids)| {
        let kind = *kind;
        ids().into_iter().map(move |id| (kind, id))
    };
    KINDS.iter().flat_map(of).collect()
}

/// The highest id of each kind: what is made later has a higher one.
pub(crate) fn highest() -> BTreeMap<&'static str, u32> {
    let of = |(kind, ids): (&'static str, Ids)| (kind, ids().last().copied().unwrap_or(0));
    KINDS.into_iter().map(of).collect()
}

/// Which of these are not some other process's doing: it holds none of them, and no program of a user
/// other than `user` uses them.
pub(crate) fn own(mut objects: Objects, user: u32, process: u32) -> Objects {
    if objects.is_empty() {
        return objects;
    }
    for program in Program::all().filter_map(Result::ok) {
        let Ok(info) = program.info() else { continue };
        if info.created_by_uid != user {
            objects.remove(&("prog_id", info.id));
            objects.remove(&("btf_id", info.btf_id));
            for id in program.map_ids().unwrap_or_default() {
                objects.remove(&("map_id", id.0));
            }
        }
    }
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        if pid.is_err() || pid == Ok(process) {
            continue;
        }
        let infos = fs::read_dir(entry.path().join("fdinfo"));
        for info in infos.into_iter().flatten().filter_map(Result::ok) {
            let text = fs::read_to_string(info.path()).unwrap_or_default();
            for (kind, id) in text.lines().filter_map(|line| line.split_once(":\t")) {
                let of = KINDS.iter().find(|(known, _)| *known == kind);
                if let Some(((kind, _), id)) = of.zip(id.trim().parse::<u32>().ok()) {
                    objects.remove(&(*kind, id));
                    let map = (*kind == "map_id").then(|| Map::from_id(MapId(id)).ok());
                    if let Some(info) = map.flatten().and_then(|map| map.info().ok()) {
                        objects.remove(&("btf_id", info.btf_id));
                    }
                }
            }
        }
    }
    objects
}
