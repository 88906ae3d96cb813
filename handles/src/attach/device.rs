//! Network devices by name.

use purebpf_syscall::host;

use crate::error::boxed;
use crate::{Error, Nearest};

/// The index of the device, in the network name space of this thread.
pub(super) fn by_name(name: &str) -> Result<u32, Error> {
    host::ifindex(name).map_err(|source| Error::Missing {
        object: boxed(format_args!("network device `{name}`")),
        nearest: Nearest::of(name, host::ifnames().unwrap_or_default()),
        source,
    })
}
