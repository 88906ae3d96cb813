//! The object's BTF.

use purebpf_handles::{BtfObject, Token};
use purebpf_plan::{MapOrigin, Plan};

use crate::Error;

/// The object's BTF in the kernel. Only struct_ops cannot do without.
pub(crate) fn load(plan: &Plan, token: Option<&Token>) -> Result<Option<BtfObject>, Error> {
    let Some(bytes) = plan.btf.as_deref() else {
        return Ok(None);
    };
    let source = match BtfObject::load(bytes, token) {
        Ok(btf) => return Ok(Some(btf)),
        Err(error) => error,
    };
    if !plan
        .maps
        .iter()
        .any(|map| map.origin == MapOrigin::StructOps)
    {
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
