//! What became of a program's instructions: after the verifier, as machine code, and where they are from.

use std::os::fd::AsFd;

use purebpf_btf::Btf;
use purebpf_insn::Insn;
use purebpf_syscall::{prog_instructions, prog_jited, prog_jited_functions, prog_line_info};

use super::Program;
use crate::{BtfId, BtfObject, Error};

/// From where in its source an instruction is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLine {
    /// The first instruction of the line, among those that [`Program::translated_instructions`] gives.
    pub instruction: u32,
    /// Name of the file.
    pub file: String,
    /// Number of the line, from 1 on.
    pub line: u32,
    /// Column, from 1 on.
    pub column: u32,
    /// What is in the line.
    pub text: String,
}

/// The machine code of one function of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitedFunction {
    /// Where it is in the kernel.
    pub address: u64,
    /// Bytes.
    pub len: u32,
}

impl Program {
    /// Its instructions after the verifier changed them; empty without the right to see them.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn translated_instructions(&self) -> Result<Vec<Insn>, Error> {
        prog_instructions(self.as_fd()).map_err(Error::call(self, "read its instructions"))
    }

    /// Its machine code, one function after the other; empty without a JIT, or without the right to see
    /// it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn jited_instructions(&self) -> Result<Vec<u8>, Error> {
        prog_jited(self.as_fd()).map_err(Error::call(self, "read its machine code"))
    }

    /// Where the machine code of each of its functions is (4.17); empty as for
    /// [`Self::jited_instructions`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn jited_functions(&self) -> Result<Vec<JitedFunction>, Error> {
        let functions = prog_jited_functions(self.as_fd());
        let functions = functions.map_err(Error::call(self, "ask where its machine code is"))?;
        let function = |(address, len)| JitedFunction { address, len };
        Ok(functions.into_iter().map(function).collect())
    }

    /// The lines of source that its instructions are from, by instruction (5.0); empty if it was loaded
    /// without them, or without the right to see them.
    ///
    /// # Errors
    /// What the kernel says: to open BTF takes `CAP_SYS_ADMIN`.
    pub fn source_lines(&self) -> Result<Vec<SourceLine>, Error> {
        let records = prog_line_info(self.as_fd());
        let records = records.map_err(Error::call(self, "ask for its lines"))?;
        let Some(btf) = self.btf()?.filter(|_| !records.is_empty()) else {
            return Ok(Vec::new());
        };
        let text = |offset| {
            let bytes = btf.str_at(offset).map_err(Error::btf(self))?;
            Ok::<_, Error>(String::from_utf8_lossy(bytes).into_owned())
        };
        let line = |[instruction, file, line, place]: [u32; 4]| {
            Ok(SourceLine {
                instruction,
                file: text(file)?,
                line: place >> 10,
                column: place & 0x3ff,
                text: text(line)?,
            })
        };
        records.into_iter().map(line).collect()
    }

    /// Its own BTF, if it was loaded with any.
    pub(super) fn btf(&self) -> Result<Option<Btf>, Error> {
        let id = self.info()?.btf_id;
        if id == 0 {
            return Ok(None);
        }
        let bytes = BtfObject::from_id(BtfId(id))?.data()?;
        Btf::parse(bytes).map(Some).map_err(Error::btf(self))
    }
}
