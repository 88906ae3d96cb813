//! Stack traces, by the number that `bpf_get_stackid` returned.

use purebpf_insn::MapFlags;

use super::check::view;
use crate::map::Keys;
use crate::{Error, UpdateFlags};

view! {
    /// Stack traces by number. [`KernelSymbols`](crate::KernelSymbols) has the names of addresses in the
    /// kernel.
    #[doc(alias = "BPF_MAP_TYPE_STACK_TRACE")]
    #[doc(alias = "bpf_get_stackid")]
    StackTraces<>: [STACK_TRACE], [4], []
}

/// One place of a stack trace, the innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// An address, in the kernel or in the process.
    Address(u64),
    /// A place in a file: for maps with [`MapFlags::STACK_BUILD_ID`] (4.17).
    #[doc(alias = "bpf_stack_build_id")]
    BuildId {
        /// The file, by its build id.
        id: [u8; 20],
        /// Bytes from its start.
        offset: u64,
    },
}

impl StackTraces {
    /// The stack trace with this number, if it is there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn get(&self, id: u32) -> Result<Option<Vec<Frame>>, Error> {
        let value = self.map.lookup(&id.to_ne_bytes(), UpdateFlags::ANY)?;
        let by_build_id = self.map.flags().contains(MapFlags::STACK_BUILD_ID);
        Ok(value.map(|value| match by_build_id {
            true => value.as_chunks().0.iter().map_while(by_file).collect(),
            false => value.as_chunks().0.iter().map_while(by_address).collect(),
        }))
    }

    /// The numbers of all stack traces that are there.
    pub fn ids(&self) -> impl Iterator<Item = Result<u32, Error>> + use<> {
        let mut keys: Keys = self.map.keys();
        std::iter::from_fn(move || {
            let id = |key: &[u8]| u32::from_ne_bytes(key.try_into().unwrap_or_default());
            keys.advance().map(|key| key.map(id)).transpose()
        })
    }

    /// Removes a stack trace, so that there is room for others; whether it was there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&self, id: u32) -> Result<bool, Error> {
        self.map.delete(&id.to_ne_bytes())
    }
}

/// Zeroes follow the last one.
fn by_address(bytes: &[u8; 8]) -> Option<Frame> {
    let address = u64::from_ne_bytes(*bytes);
    (address != 0).then_some(Frame::Address(address))
}

/// What `bpf_stack_build_id` holds: nothing (0), a place in a file (1), an address (2).
fn by_file(bytes: &[u8; 32]) -> Option<Frame> {
    let (kind, rest) = bytes.split_first_chunk()?;
    let (id, number) = rest.split_first_chunk()?;
    let number = u64::from_ne_bytes(number.try_into().ok()?);
    match i32::from_ne_bytes(*kind) {
        1 => Some(Frame::BuildId {
            id: *id,
            offset: number,
        }),
        2 => Some(Frame::Address(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Kernel, Layout};

    #[test]
    fn a_frame_is_laid_out_as_the_kernels() {
        let frame = Layout {
            name: "a frame",
            places: &["bpf_stack_build_id"],
            fields: &[
                ("status", 0, 4),
                ("build_id", 4, 20),
                ("offset", 24, 8),
                ("ip", 24, 8),
            ],
        };
        Kernel::check(&[&frame]);
    }

    #[test]
    fn a_frame_is_a_place_in_a_file_or_an_address() {
        let mut bytes = [0; 32];
        assert_eq!(by_file(&bytes), None);
        bytes[..4].copy_from_slice(&1_i32.to_ne_bytes());
        bytes[4..24].copy_from_slice(&[7; 20]);
        bytes[24..].copy_from_slice(&99_u64.to_ne_bytes());
        let (id, offset) = ([7; 20], 99);
        assert_eq!(by_file(&bytes), Some(Frame::BuildId { id, offset }));
        bytes[..4].copy_from_slice(&2_i32.to_ne_bytes());
        assert_eq!(by_file(&bytes), Some(Frame::Address(99)));
        assert_eq!(by_address(&[0; 8]), None);
    }
}
