//! BPF file systems of a process's own: what an object pins is neither left on the machine nor found
//! by the next who loads it.

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

const PLACE: &str = "/sys/fs/bpf";
const NONE: Option<&str> = None;

/// Gives this process, which must have one thread, mounts that nobody else sees.
pub fn apart() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace of its own")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, "/", NONE, private, NONE).context("making mounts private")
}

/// Mounts an empty BPF file system over the one before.
pub fn none() -> anyhow::Result<()> {
    mount(Some("bpf"), PLACE, Some("bpf"), MsFlags::empty(), NONE)
        .context("mounting a BPF file system")
}
