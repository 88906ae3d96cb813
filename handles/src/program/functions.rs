//! The functions of a program, by name.

use purebpf_btf::{Btf, Kind};

use super::Program;
use crate::{BtfId, BtfObject, Error};

impl Program {
    /// The id of one of its functions in its own BTF: a program that was loaded to replace or trace
    /// it is told this. Nothing if it has no such function, or no BTF.
    ///
    /// # Errors
    /// What the kernel says: to open BTF takes `CAP_SYS_ADMIN`.
    pub fn function_id(&self, function: &str) -> Result<Option<u32>, Error> {
        let id = self.info()?.btf_id;
        if id == 0 {
            return Ok(None);
        }
        let bytes = BtfObject::from_id(BtfId(id))?.data()?;
        let btf = Btf::parse(bytes).map_err(Error::btf(self))?;
        Ok(btf.find(function, Kind::Func).map(|id| id.0))
    }
}
