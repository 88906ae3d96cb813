//! The object's BTF.

use purebpf_handles::{BtfObject, Errno, Token};
use purebpf_plan::{MapOrigin, MapPlan, Plan};

use crate::Error;

/// What says nothing about the BTF: a load that went on would not be the one that was asked for.
const PASSING: [Errno; 4] = [Errno::EAGAIN, Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM];

/// The object's BTF in the kernel. Only struct_ops cannot do without one that the kernel refuses.
pub(crate) fn load(plan: &Plan, token: Option<&Token>) -> Result<Option<BtfObject>, Error> {
    let Some(bytes) = plan.btf.as_deref() else {
        return Ok(None);
    };
    let source = match BtfObject::load(bytes, token) {
        Ok(btf) => return Ok(Some(btf)),
        Err(error) => error,
    };
    let is_refused = source.errno().is_none_or(|errno| !PASSING.contains(&errno));
    let needs_it = |map: &MapPlan| map.origin == MapOrigin::StructOps;
    if is_refused && !plan.maps.iter().any(needs_it) {
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
