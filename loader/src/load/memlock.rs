//! Kernels before 5.11 charge maps and programs to `RLIMIT_MEMLOCK`, whose default is far too low.

use std::sync::Once;

use purebpf_plan::{Feature, TargetKernel as _};
use purebpf_syscall::host;

use crate::RunningKernel;

static RAISED: Once = Once::new();

/// Lifts the limit, once in a process, on kernels that need it. Whoever may not do that finds out
/// when a map does not fit.
pub(crate) fn raise(kernel: &RunningKernel) {
    RAISED.call_once(|| {
        if kernel.has(Feature::MemcgAccount) {
            return;
        }
        if let Err(error) = host::set_memlock_limit(u64::MAX) {
            log::warn!("RLIMIT_MEMLOCK cannot be lifted: {error}");
        }
    });
}
