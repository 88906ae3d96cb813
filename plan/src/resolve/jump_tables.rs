//! Jump tables: places in a section of code, turned into instructions of the program.

use std::collections::HashMap;

use purebpf_insn::Insn;

use crate::plan;
use crate::spec::code::{Code, Routine};

/// Bytes of an entry.
const ENTRY: usize = 8;

/// The tables of one program that were met so far.
#[derive(Default)]
pub(super) struct JumpTables {
    /// By where the table is in its section: its position in the program's plan.
    known: HashMap<u64, usize>,
    entries: usize,
}

impl JumpTables {
    /// The position of a table among those of the program, to which it is added if it is new.
    ///
    /// `start` is where the routine that jumps by it begins in the program; all places of a table
    /// are in that routine.
    ///
    /// # Source
    /// libbpf `create_jt_map`.
    pub(super) fn find(
        &mut self,
        spec: &Code,
        code: &mut plan::Code,
        routine: &Routine,
        start: usize,
        (offset, size): (u64, u64),
    ) -> Result<usize, &'static str> {
        if let Some(index) = self.known.get(&offset) {
            return Ok(*index);
        }
        let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
        let (offset_bytes, size) = range.ok_or("its jump table is outside the file")?;
        if !offset_bytes.is_multiple_of(ENTRY) || !size.is_multiple_of(ENTRY) || size == 0 {
            return Err("its jump table is not made of whole entries");
        }
        let bytes = offset_bytes
            .checked_add(size)
            .and_then(|end| spec.jump_tables.get(offset_bytes..end))
            .ok_or("its jump table is outside `.jumptables`")?;
        // Tables do not overlap, unless somebody wants to fill the memory with them.
        self.entries = self.entries.saturating_add(size / ENTRY);
        if self.entries > spec.jump_tables.len() / ENTRY {
            return Err("its jump tables overlap");
        }
        let targets = bytes.as_chunks::<ENTRY>().0.iter().map(|entry| {
            let place = usize::try_from(spec.endian.u64(*entry)).ok()? / Insn::SIZE;
            let insn = place.checked_sub(routine.function.insn_offset)?;
            u32::try_from(insn.checked_add(start)?).ok()
        });
        let targets = targets.collect::<Option<Vec<u32>>>();
        let targets = targets.ok_or("its jump table leads out of the function")?;
        let index = code.jump_tables.len();
        code.jump_tables.push(targets);
        self.known.insert(offset, index);
        Ok(index)
    }
}
