//! The functions of a program, by name.

use purebpf_btf::Kind;

use super::Program;
use crate::Error;

impl Program {
    /// The id of one of its functions in its own BTF: a program that was loaded to replace or trace
    /// it is told this. Nothing if it has no such function, or no BTF.
    ///
    /// # Errors
    /// What the kernel says: to open BTF takes `CAP_SYS_ADMIN`.
    pub fn function_id(&self, function: &str) -> Result<Option<u32>, Error> {
        let btf = self.btf()?;
        let function = btf.and_then(|btf| btf.find(function, Kind::Func));
        Ok(function.map(|id| id.0))
    }
}
