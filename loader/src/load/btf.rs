//! The object's BTF.

use purebpf_handles::{BtfObject, Errno, Token};
use purebpf_plan::{MapOrigin, MapPlan, Plan};

use crate::Error;

/// What says nothing about the BTF: a load that went on would not be the one that was asked for.
const PASSING: [Errno; 6] = [
    Errno::EAGAIN,
    Errno::EINTR,
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::ENOMEM,
    Errno::ENOSPC,
];

/// Whether it is the BTF that an error may be about.
pub(super) fn may_be_refused(error: &purebpf_handles::Error) -> bool {
    error.errno().is_none_or(|errno| !PASSING.contains(&errno))
}

/// The object's BTF in the kernel. Only struct_ops cannot do without one that the kernel refuses.
pub(crate) fn load(plan: &Plan, token: Option<&Token>) -> Result<Option<BtfObject>, Error> {
    let Some(bytes) = plan.btf.as_deref() else {
        return Ok(None);
    };
    let source = match BtfObject::load(bytes, token) {
        Ok(btf) => return Ok(Some(btf)),
        Err(error) => error,
    };
    let needs_it = |map: &MapPlan| map.origin == MapOrigin::StructOps;
    if may_be_refused(&source) && !plan.maps.iter().any(needs_it) {
        let name = &plan.object;
        log::info!("object `{name}` is loaded without its BTF: {source}");
        return Ok(None);
    }
    let log = match &source {
        purebpf_handles::Error::Rejected { log, .. } => log.to_string(),
        _ => String::new(),
    };
    Err(Error::Btf {
        object: plan.object.clone(),
        log,
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn an_error_that_is_about_this_process_is_not_about_the_btf() {
        let error = |errno: Errno| purebpf_handles::Error::File {
            operation: "load",
            path: PathBuf::new(),
            source: std::io::Error::from_raw_os_error(errno as i32),
        };
        for errno in [Errno::EINVAL, Errno::EPERM, Errno::E2BIG] {
            assert!(may_be_refused(&error(errno)), "{errno}");
        }
        for errno in PASSING {
            assert!(!may_be_refused(&error(errno)), "{errno}");
        }
    }
}
