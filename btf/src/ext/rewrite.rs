//! A changed copy of a section.

use super::{BtfExt, CORE, FUNC, LINE, swap};
use crate::error::Result;
use crate::id::TypeId;
use crate::raw::{self, Endian};
use crate::shape::Field;

impl BtfExt {
    /// The section with other type ids and string offsets, for a `.BTF` that was renumbered.
    ///
    /// # Errors
    /// Those that `types` and `strings` return.
    pub fn rewrite(
        &self,
        mut types: impl FnMut(TypeId) -> Result<TypeId>,
        mut strings: impl FnMut(u32) -> Result<u32>,
    ) -> Result<Self> {
        let mut data = self.data.bytes().to_vec();
        let mut new = self.clone();
        for (segment, layout) in [
            (&mut new.func, FUNC),
            (&mut new.line, LINE),
            (&mut new.core, CORE),
        ] {
            let size = (segment.record_size as usize).max(1);
            for block in &mut segment.blocks {
                block.section_name_off = strings(block.section_name_off)?;
                // The name is the first of the two words before the records.
                let name = block.records.start.saturating_sub(8)..block.records.start;
                let header = data.get_mut(name).and_then(<[u8]>::first_chunk_mut);
                if let Some(word) = header {
                    *word = block.section_name_off.to_ne_bytes();
                }
                let records = data.get_mut(block.records.clone()).unwrap_or_default();
                for record in records.chunks_exact_mut(size) {
                    let words = record.as_chunks_mut::<4>().0;
                    for (word, field) in words.iter_mut().zip(layout.fields) {
                        let old = raw::value(*word);
                        *word = match field {
                            Field::Plain => old,
                            Field::Name => strings(old)?,
                            Field::Type => types(TypeId(old))?.0,
                        }
                        .to_ne_bytes();
                    }
                }
            }
        }
        new.data = data.into();
        Ok(new)
    }

    /// The section in a byte order of choice.
    #[must_use]
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        let mut data = self.data.bytes().to_vec();
        if !endian.is_host() {
            swap(&mut data);
        }
        data
    }
}
