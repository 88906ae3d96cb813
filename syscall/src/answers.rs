//! Information blocks filled in by bytes instead of the kernel: for fuzzing, and not for others.

use bytemuck::Pod;
use purebpf_insn::Insn;

use crate::info::{self, Answers};
use crate::{BtfInfo, CallError, LinkInfo, MapInfo, ProgInfo};

/// What is answered, one question after the other: for each an error number, or 0 and what is written over
/// the block, addresses too. What is behind the end is as it was asked.
struct Given<'a>(&'a [u8]);

impl Answers for Given<'_> {
    unsafe fn fill<I: Pod>(&mut self, info: &mut I) -> Result<(), CallError> {
        match self.0.split_off_first() {
            None | Some(0) => {}
            Some(errno) => return Err(CallError::from_raw("bpf", i32::from(*errno))),
        }
        let block = bytemuck::bytes_of_mut(info);
        let len = block.len().min(self.0.len());
        let given = self.0.split_off(..len).unwrap_or_default();
        let told = block.iter_mut().zip(given);
        told.for_each(|(byte, given)| *byte = *given);
        Ok(())
    }
}

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident $of:path, $told:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// What is given as an error, and counts that cannot be.
            pub fn $name(given: &[u8]) -> Result<$told, CallError> {
                $of(&mut Given(given))
            }
        )*
    };
}

answers! {
    /// As [`crate::map_info`].
    map_info info::map, MapInfo;
    /// As [`crate::prog_info`].
    prog_info info::program, ProgInfo;
    /// As [`crate::prog_map_ids`].
    prog_map_ids info::map_ids, Vec<u32>;
    /// As [`crate::prog_instructions`].
    prog_instructions info::instructions, Vec<Insn>;
    /// As [`crate::prog_jited`].
    prog_jited info::jited, Vec<u8>;
    /// As [`crate::prog_jited_functions`].
    prog_jited_functions info::jited_functions, Vec<(u64, u32)>;
    /// As [`crate::prog_line_info`].
    prog_line_info info::line_info, Vec<[u32; 4]>;
    /// As [`crate::btf_info`].
    btf_info info::btf, BtfInfo;
    /// As [`crate::btf_data`].
    btf_data info::data, Vec<u8>;
    /// As [`crate::link_info()`].
    link_info crate::link_info::link, LinkInfo;
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    /// Two answers about a program, each with so many maps.
    fn maps(count: u32) -> Vec<u8> {
        let mut block = [0; 232];
        block[52..56].copy_from_slice(&count.to_ne_bytes());
        [[0].as_slice(), &block].concat().repeat(2)
    }

    #[test]
    fn a_count_is_believed_as_far_as_there_can_be_so_many() {
        assert_eq!(prog_map_ids(&maps(3)).unwrap(), [0; 3]);
        for count in [u32::MAX, 1 << 26] {
            let refused = prog_map_ids(&maps(count)).unwrap_err();
            assert_eq!(refused.errno(), Errno::E2BIG);
        }
    }

    #[test]
    fn btf_without_a_name_is_asked_about_again() {
        let refused = Errno::E2BIG as u8;
        let id = [[0; 12].as_slice(), &7_u32.to_ne_bytes()].concat();
        let given = [[refused, 0].as_slice(), &id].concat();
        let info = btf_info(&given).unwrap();
        assert_eq!((info.id, &*info.name), (7, ""));
    }

    #[test]
    fn a_link_with_more_places_than_can_be_is_told_of_without_them() {
        let mut block = [0; 64];
        // BPF_LINK_TYPE_KPROBE_MULTI, count
        block[..4].copy_from_slice(&8_u32.to_ne_bytes());
        for (count, expected) in [(2_u32, 2), (u32::MAX, 0)] {
            block[24..28].copy_from_slice(&count.to_ne_bytes());
            let given = [[0].as_slice(), &block].concat().repeat(2);
            let details = link_info(&given).unwrap().details;
            let crate::LinkDetails::KprobeMulti { addresses, .. } = details else {
                panic!("{details:?}");
            };
            assert_eq!(addresses.len(), expected);
        }
    }
}
